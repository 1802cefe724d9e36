"""Trained weights that a job keeps: `save=best` or `save=all`, one file of safetensors, to start from another time."""

from collections.abc import Mapping, Sequence
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
            tensors[f"{seed}/{name}"] = value.detach().cpu().clone().contiguous()
    about = {"fingerprint": job.fingerprint, "seeds": ",".join(map(str, share.seeds))}
    path = job.folder / PARTS / f"{share.seeds[0]}-{share.seeds[-1]}.safetensors"
    write_whole(path, lambda partial: save_file(tensors, partial, metadata=about))


def write_weights(job: Job, members: pd.DataFrame, former: pd.DataFrame | None, folder: Path) -> None:
    """Write a job's weights.safetensors from what its shares have kept, and what it had of other seeds.

    A tensor is called `MEMBER/PARAMETER`. What is kept of an earlier configuration does not count; where a member is
    missing, as in a job that was half trained before anything was to be kept, there is no file.

    Args:
        job: The job, all of whose members are trained.
        members: Its members table, by which the best is chosen: the highest validation score, then the lowest loss.
        former: The members table that belongs to the weights in the job's folder; None where there is none.
        folder: Where to write them.

    Raises:
        OSError: the file cannot be written.
    """
    if job.config.save == "none":
        return
    from safetensors.torch import save_file

    ranked = members.sort_values(["val_score", "val_loss", "member"], ascending=[False, True, True])
    best = int(ranked["member"].iloc[0])
    wanted = {best} if job.config.save == "best" else set(range(len(members)))
    by_seed = {} if former is None else _held(job, [int(seed) for seed in former["seed"]])
    by_seed |= _kept(job)
    seeds = [int(seed) for seed in members["seed"]]
    if all(seeds[member] in by_seed for member in wanted):
        tensors = {f"{member}/{name}": value for member in wanted for name, value in by_seed[seeds[member]].items()}
        about = {"save": job.config.save, "best": str(best), "first_seed": str(seeds[0])}
        write_whole(folder / FILE, lambda partial: save_file(tensors, partial, metadata=about))


def _kept(job: Job) -> dict[int, dict[str, Tensor]]:
    """By seed, the weights that the shares of a job have kept."""
    tensors: dict[str, Tensor] = {}
    for path in sorted((job.folder / PARTS).glob("*.safetensors")):
        found, about = _read(path)
        if about.get("fingerprint") == job.fingerprint:
            tensors |= found
    return _by_number(tensors)


def _held(job: Job, seeds: Sequence[int]) -> dict[int, dict[str, Tensor]]:
    """By seed, the weights in a job's folder, whose members have some seeds, in their order."""
    if not has_weights(job):
        return {}
    return {seeds[member]: found for member, found in _by_number(_read(job.folder / FILE)[0]).items()}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, and what it says of them."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as held:
        return {name: held.get_tensor(name) for name in held.keys()}, held.metadata() or {}  # noqa: SIM118


def _by_number(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Tensors called `NUMBER/PARAMETER`, by the number and by the parameter."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, parameter = name.partition("/")
        found.setdefault(int(number), {})[parameter] = value
    return found


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
