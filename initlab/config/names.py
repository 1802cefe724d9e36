"""Which keys say what a job is, and what its folder is called by them."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

# Keys that say where and how to run, not what: they do not name a job's folder.
NOT_IDENTITY: Final = frozenset(
    {
        *("name", "output_dir", "data.dir", "data.download", "logger", "plugins"),
        *("threads", "n_jobs", "backend", "max_members", "checkpoint_seconds", "resume", "fail_fast"),
        *("dry_run", "report", "recommend"),
    }
)
LONGEST_NAME: Final = 120


def job_name(overrides: Sequence[str]) -> str:
    """Name a job's folder after its overrides: readable, the same for the same command, never too long.

    `init=he,optim.lr=0.1`; `defaults` where nothing was overridden. Characters that a file system or a shell
    minds become `_`. What is cut is told apart by a hash.
    """
    last = {text.lstrip("+~").split("=")[0]: text for text in overrides}
    kept = sorted(text for key, text in last.items() if key not in NOT_IDENTITY)
    plain = ",".join(kept) or "defaults"
    name = re.sub(r"[^\w.,=+~@\-\[\]]", "_", plain)
    if name == plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def without_keys(config: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """A nested configuration without some keys; those of a group are named by a dot."""
    kept = {}
    for key, value in config.items():
        inner = {name.partition(".")[2] for name in keys if name.startswith(f"{key}.")}
        if key not in keys:
            kept[key] = without_keys(value, inner) if inner and isinstance(value, Mapping) else value
    return kept


def without_leftovers(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved configuration in which `model._target_=…` and `data._target_=…` replace what stood there before.

    Where a `_target_` was typed, the other keys of its group belong to what it replaced, unless they were typed, too.
    The group is then named after the target.

    Args:
        resolved: The composed configuration.
        overrides: What was typed, as Hydra writes it.
    """
    typed = {text.lstrip("+~").split("=")[0] for text in overrides}
    result = dict(resolved)
    for group in ("model", "data"):
        path = result.get(group, {}).get("_target_")
        if f"{group}._target_" in typed and isinstance(path, str):
            kept = {key: value for key, value in result[group].items() if f"{group}.{key}" in typed}
            if group == "model":
                kept.setdefault("out_features", result[group].get("out_features"))
            result[group] = {"name": path.rpartition(".")[2], **kept}
    return result
