"""Which keys say what a job is, and the name that its folder gets from them."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from initlab.base.errors import UserError

SEEDS: Final = frozenset({"seed", "seeds"})  # how often a job is trained: more of them extend it
# Keys that say where, how and how often to run, not what: a job is the same whatever they are.
NOT_IDENTITY: Final = SEEDS | frozenset(
    {
        *("name", "output_dir", "data.dir", "data.download", "logger", "plugins"),
        *("threads", "n_jobs", "backend", "max_members", "checkpoint_seconds", "resume", "fail_fast"),
        *("dry_run", "report", "recommend", "save", "margin", "max_seeds", "max_minutes", "compile"),
    }
)
# Groups that say what is trained; each has a folder of choices.
GROUPS: Final = frozenset(
    {"experiment", "data", "model", "activation", "init", "optim", "loss", "scheduler", "trainer"}
)
LONGEST_NAME: Final = 120
DEFAULTS: Final = "defaults"
# The environment variable that tells every process of a command the keys in which its jobs differ, which name their
# folders; absent where nobody has said.
SWEPT: Final = "INITLAB_SWEPT"


def key_of(override: str) -> str:
    """The key of an override as Hydra writes it: `+model.width=3` is one of `model.width`.

    Example:
        >>> key_of("+logger@logger.csv=csv")
        'logger'
    """
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def names_folders(key: str) -> bool:
    """Whether a key says what is trained, so that a job's folder may be named by it."""
    return not {key, key.partition(".")[0]} & NOT_IDENTITY


def swept_keys(jobs: Sequence[Sequence[str]]) -> frozenset[str]:
    """The keys in whose values the jobs of one command differ.

    Example:
        >>> sorted(swept_keys([["init=he", "seeds=3"], ["init=xavier", "seeds=3"]]))
        ['init']

    Args:
        jobs: Of each job its overrides, `key=value` each.
    """
    values: dict[str, set[str]] = {}
    for overrides in jobs:
        for text in overrides:
            values.setdefault(key_of(text), set()).add(text)
    return frozenset(key for key, found in values.items() if len(found) > 1)


def check_targets(swept: Collection[str], jobs: Sequence[Sequence[str]]) -> None:
    """See that no `_target_` stands beside several choices of its group, which all would be that target.

    Args:
        swept: Keys in whose values the jobs differ.
        jobs: Of each job its overrides, `key=value` each.

    Raises:
        UserError: it does.
    """
    for group in sorted(GROUPS & set(swept)):
        target = next((text for text in jobs[0] if key_of(text) == f"{group}._target_"), None)
        if target is None or f"{group}._target_" in swept:
            continue
        choices = list(dict.fromkeys(text for job in jobs for text in job if key_of(text) == group))
        raise UserError(
            f"{target}: replaces what {group}= names, so that {' and '.join(choices)} would be the same; leave one out"
        )


def short_name(overrides: Sequence[str], swept: Collection[str]) -> str:
    """Name a new job's folder by what varies: the keys that its command sweeps, and the choices that were typed.

    What is constant stands in the job's configuration.

    Example:
        >>> short_name(["init=he", "optim.lr=0.1", "batch_size=16", "seeds=3"], swept={"optim.lr"})
        'init=he,optim.lr=0.1'

    Args:
        overrides: What was typed for this job, `key=value` each.
        swept: Keys in which the jobs of the command differ.
    """
    naming = {*GROUPS, *swept}
    return job_name([text for text in overrides if key_of(text) in naming])


# Keys that came later, with what they are where nobody sets them. They are then left out of a job's configuration: so
# its fingerprint stays what it was, and a study can be extended.
UNSET: Final[Mapping[str, Any]] = MappingProxyType(
    {
        **{"loss._target_": None, "loss.label_smoothing": 0.0, "loss.class_weights": None, "loss.name": "auto"},
        **{"scheduler._target_": None, "scheduler.interval": None, "scheduler.name": "none"},
        **{"early_stopping.patience": None, "early_stopping.metric": "loss", "early_stopping.min_delta": 0.0},
        **{"optim.scaling": "standard", "optim.base_width": None},
        **{"optim.decay": "all", "save": "none", "init.embedding": None, "init.rules": None},
        **{"data.resplit": "auto"},
    }
)
# The same for keys that one choice of a group has: by the group, and the key and value that make the choice.
UNSET_OF: Final[Mapping[tuple[str, str, str], Mapping[str, Any]]] = MappingProxyType(
    {
        ("init", "name", "pretrained"): {"member": None},
        ("model", "_target_", "initlab.models.vision_transformer.VisionTransformer"): {
            **{"norm": "pre", "residual": "plain", "layerscale": 1e-4, "attention_scale": "sqrt", "attention_base": 16},
        },
        ("data", "_target_", "initlab.data.csv_table.csv_table"): {
            **{"decimal": None, "encoding": None, "header": True, "keep": [], "missing": []},
            **{"group": None, "order": None},
        },
        ("data", "_target_", "initlab.data.images.torchvision_images"): {"sequential": False, "permute_seed": None},
        ("data", "_target_", "initlab.data.images.digits"): {"sequential": False, "permute_seed": None},
        ("data", "_target_", "initlab.data.arrays.arrays"): {"sequential": False},
        ("data", "_target_", "initlab.data.arrays.function"): {"sequential": False},
    }
)
# Data sets of the user's own that are named after a file, or a function: by their targets, the keys to look at.
NAMED_AFTER: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "initlab.data.csv_table.csv_table": ("path",),
        "initlab.data.arrays.arrays": ("path", "inputs"),
        "initlab.data.arrays.function": ("call",),
        "initlab.data.text.text": ("path",),
    }
)


def unset_value(key: str, config: Mapping[str, Any]) -> Any:
    """What a key that a resolved configuration leaves out has there; None where it has no such key.

    Args:
        key: With dots, as `model.norm`.
        config: The configuration with dotted keys, as `flat_config` makes it.
    """
    for (group, choice, value), unset in UNSET_OF.items():
        name = key.removeprefix(f"{group}.")
        if name != key and name in unset and config.get(f"{group}.{choice}") == value:
            return unset[name]
    return UNSET.get(key)


def job_name(overrides: Sequence[str]) -> str:
    """Name a job's folder after overrides: readable, the same for the same command, never too long.

    Keys that say where, how and how often to run rather than what, such as `n_jobs` and `seeds`, are left out; where
    nothing else was overridden the name is `defaults`. Characters that a file system or a shell treats specially become
    `_`. A name that was changed or cut ends with a hash of the whole, so that two jobs never share a folder.

    Example:
        >>> job_name(["optim.lr=0.1", "init=he", "n_jobs=4"])
        'init=he,optim.lr=0.1'

    Args:
        overrides: What was typed for this job, as Hydra writes it, `key=value` each; of a key given twice the last.
    """
    last = {key_of(text): text for text in overrides}
    kept = sorted(text for key, text in last.items() if names_folders(key))
    return _as_folder(",".join(kept) or DEFAULTS)


def extended_name(name: str, overrides: Sequence[str]) -> str:
    """A folder's name with more overrides in it.

    Example:
        >>> extended_name("init=he", ["batch_size=5"])
        'init=he,batch_size=5'
    """
    return _as_folder(",".join([*([name] if name != DEFAULTS else []), *sorted(overrides)]))


def _as_folder(plain: str) -> str:
    """A text as the name of a folder."""
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


def without_unset(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration without the keys of `UNSET` and `UNSET_OF` that nobody set.

    Example:
        >>> without_unset({"seed": 0, "save": "none", "loss": {"name": "auto"}, "optim": {"lr": 0.1, "decay": "all"}})
        {'seed': 0, 'optim': {'lr': 0.1}}
    """
    left = dict(resolved)
    for key, default in UNSET.items():
        group, _, name = key.rpartition(".")
        held = left.get(group) if group else left
        if not isinstance(held, Mapping) or name not in held or held[name] != default:
            continue
        if name == "name" and len(held) > 1:  # what else is set belongs to it
            continue
        rest = {other: value for other, value in held.items() if other != name}
        if not group:
            left = rest
        elif rest:
            left[group] = rest
        else:
            del left[group]
    for (group, key, choice), unset in UNSET_OF.items():
        held = left.get(group)
        if isinstance(held, Mapping) and held.get(key) == choice:
            left[group] = {name: value for name, value in held.items() if name not in unset or value != unset[name]}
    return left


def named_after_files(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved configuration in which the user's own data bear the name of their file or function.

    Args:
        resolved: The composed configuration as plain data.
        overrides: What was typed; a name that was typed stays.
    """
    data = resolved.get("data", {})
    typed = any(text.lstrip("+").startswith("data.name=") for text in overrides)
    own = None if typed or data.get("name") not in ("csv", "arrays", "function", "text") else _own_name(data)
    return dict(resolved) if own is None else {**resolved, "data": {**resolved["data"], "name": own}}


def _own_name(data: Mapping[str, Any]) -> str | None:
    for key in NAMED_AFTER.get(str(data.get("_target_")), ()):
        if isinstance(data.get(key), str) and data[key]:
            return str(data[key]).rpartition(".")[2] if key == "call" else PurePath(data[key]).name.split(".")[0]
    return None


def hashed(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration enters a job's fingerprint: all that decides the results of a seed.

    A table that is named after its file is hashed as it was when all were called csv.
    """
    config = without_keys(resolved, NOT_IDENTITY)
    data = config.get("data", {})
    if data.get("_target_") == "initlab.data.csv_table.csv_table" and data.get("name") == _own_name(data):
        config["data"] = {**data, "name": "csv"}
    return config


def without_leftovers(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved configuration in which a typed `model._target_=…` or `data._target_=…` replaces the whole group.

    Where a `_target_` was typed, the other keys of its group belong to what it replaced. They are dropped, unless they
    were typed, too. The group is then named after the target. Of an optimizer that was replaced the keys stay, as most
    have them in common.

    Args:
        resolved: The composed configuration as plain data, all references resolved.
        overrides: What was typed, as Hydra writes it.
    """
    typed = {key_of(text) for text in overrides}
    result = dict(resolved)
    path = result.get("optim", {}).get("_target_")
    if "optim._target_" in typed and isinstance(path, str) and "optim.name" not in typed:
        result["optim"] = {**result["optim"], "name": path.rpartition(".")[2]}
    for group in ("model", "data", "loss", "scheduler"):
        path = result.get(group, {}).get("_target_")
        if f"{group}._target_" in typed and isinstance(path, str):
            kept = {key: value for key, value in result[group].items() if f"{group}.{key}" in typed}
            if group == "model":
                kept.setdefault("out_features", result[group].get("out_features"))
            result[group] = {"name": path.rpartition(".")[2], **kept}
    return result
