"""Trained weights that a job keeps: `save=best` or `save=all`, one file of safetensors, to start from another time."""

import shutil
from pathlib import Path
from typing import Final

import pandas as pd
from torch import Tensor

from initlab.base.errors import UserError
from initlab.base.files import write_whole
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.modules.stack import Stack

FILE: Final = "weights.safetensors"
PARTS: Final = ".weights"  # of a job that trains in several cohorts


def check_weights(job: Job) -> None:
    """See that weights can be written where they are to be kept.

    Raises:
        UserError: the package for it is not installed.
    """
    if job.config.save == "none":
        return
    try:
        import safetensors  # noqa: F401
    except ImportError as error:
        raise UserError(f"save={job.config.save}: to write weights, install initlab[safetensors]") from error


def keep_weights(share: Share, networks: Stack) -> None:
    """Write what the members of a share have become, until all members of its job are trained.

    Args:
        share: Members of one job.
        networks: As they are after training.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors.torch import save_file

    job = share.job
    tensors: dict[str, Tensor] = {}
    for place, seed in enumerate(share.seeds):
        for name, value in networks.member(place).items():
            tensors[f"{seed - job.config.seed}/{name}"] = value.detach().cpu().clone().contiguous()
    about = {"fingerprint": job.fingerprint, "seeds": ",".join(map(str, share.seeds))}
    path = job.folder / PARTS / f"{share.seeds.start}-{share.seeds.stop}.safetensors"
    write_whole(path, lambda partial: save_file(tensors, partial, metadata=about))


def write_weights(job: Job, members: pd.DataFrame) -> None:
    """Write a job's weights.safetensors from what its shares have kept, whole or not at all.

    A tensor is called `MEMBER/PARAMETER`. What is kept of an earlier configuration does not count; where a member is
    missing, as in a job that was half trained before anything was to be kept, there is no file.

    Args:
        job: The job, all of whose members are trained.
        members: Its members table, by which the best is chosen: the highest validation score, then the lowest loss.

    Raises:
        OSError: the file cannot be written.
    """
    (job.folder / FILE).unlink(missing_ok=True)
    if job.config.save == "none":
        return
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for path in sorted((job.folder / PARTS).glob("*.safetensors")):
        with safe_open(path, framework="pt") as part:
            if (part.metadata() or {}).get("fingerprint") == job.fingerprint:
                tensors |= {name: part.get_tensor(name) for name in part.keys()}  # noqa: SIM118
    kept = {int(name.partition("/")[0]) for name in tensors}
    if kept >= set(range(len(job.seeds))):
        ranked = members.sort_values(["val_score", "val_loss", "member"], ascending=[False, True, True])
        best = int(ranked["member"].iloc[0])
        if job.config.save == "best":
            tensors = {name: value for name, value in tensors.items() if name.startswith(f"{best}/")}
        about = {"save": job.config.save, "best": str(best), "first_seed": str(job.config.seed)}
        write_whole(job.folder / FILE, lambda partial: save_file(tensors, partial, metadata=about))
    shutil.rmtree(job.folder / PARTS, ignore_errors=True)


def has_weights(job: Job) -> bool:
    """Whether a finished job has kept what it is to keep."""
    path: Path = job.folder / FILE
    if job.config.save == "none":
        return True
    try:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as held:
            return (held.metadata() or {}).get("save") in ("all", job.config.save)
    except Exception:  # absent or damaged
        return False
