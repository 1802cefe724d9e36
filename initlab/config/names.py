"""Which keys say what a job is, and the name that its folder gets from them."""

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

    Keys that say where and how to run rather than what, such as `n_jobs`, are left out; where nothing else was
    overridden the name is `defaults`. Characters that a file system or a shell treats specially become `_`. A name that
    was changed or cut ends with a hash of the whole, so that two jobs never share a folder.

    Example:
        >>> job_name(["optim.lr=0.1", "init=he", "n_jobs=4"])
        'init=he,optim.lr=0.1'

    Args:
        overrides: What was typed for this job, as Hydra writes it, `key=value` each; of a key given twice the last.
    """
    last = {text.lstrip("+~").split("=")[0]: text for text in overrides}
    kept = sorted(text for key, text in last.items() if key not in NOT_IDENTITY)
    plain = ",".join(kept) or "defaults"
    name = re.sub(r"[^\w.,=+~@\-\[\]]", "_", plain)
    if name == plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def without_keys(config: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """A nested configuration without some keys.

    Example:
        >>> without_keys({"seed": 0, "optim": {"name": "sgd", "lr": 0.1}}, {"seed", "optim.lr"})
        {'optim': {'name': 'sgd'}}

    Args:
        config: Groups within groups; it stays as it is.
        keys: What to leave out; a key within a group is named with a dot. Keys that are not there do not matter.
    """
    kept = {}
    for key, value in config.items():
        inner = {name.partition(".")[2] for name in keys if name.startswith(f"{key}.")}
        if key not in keys:
            kept[key] = without_keys(value, inner) if inner and isinstance(value, Mapping) else value
    return kept


def without_leftovers(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved configuration in which a typed `model._target_=…` or `data._target_=…` replaces the whole group.

    Where a `_target_` was typed, the other keys of its group belong to what it replaced. They are dropped, unless they
    were typed, too. The group is then named after the target.

    Args:
        resolved: The composed configuration as plain data, all references resolved.
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
