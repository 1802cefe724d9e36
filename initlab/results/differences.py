"""In what the jobs of a study differ, and what to call them by it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from initlab.base.wording import shortest
from initlab.config.files import default_of
from initlab.config.names import NOT_IDENTITY, UNSET, unset_value

# What is compared, each with the names that explain its differences: a data set brings its model and optimizer.
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "data.name": (),
        "model.name": ("data.name",),
        "activation.name": (),
        "init.name": (),
        "optim.name": ("data.name",),
        "loss.name": (),
        "scheduler.name": (),
    }
)
RATE = "optim.lr"
SELF_EXPLAINING = tuple(name.removesuffix(".name") for name in NAMES if name not in UNSET)


def flat_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as one level of dotted keys; lists become text."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.update(flat_config(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = str(value) if isinstance(value, list | tuple) else value
    return flat


def differing_keys(configs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The configuration keys in which jobs differ, without what follows from a name that differs.

    A sweep over initializers changes their gains, too, and a sweep over data sets changes model and optimizer. So a
    key of a group is shown only if it differs between jobs that have the same name of the group and the same data set.

    Args:
        configs: By job name, its configuration as `flat_config` makes it.

    Returns:
        One row a job, indexed by its name; one column a key, `init` for `init.name`. Where nothing differs, `init`.
    """
    keys = {key for config in configs.values() for key in config} - {*NAMES, *NOT_IDENTITY}
    others = sorted(key for key in keys if key.partition(".")[0] not in NOT_IDENTITY)
    shown: dict[str, list[Any]] = {}
    for key in [*NAMES, *others]:
        by = NAMES.get(key, _explained_by(key))
        values = {job: config.get(key, unset_value(key, config)) for job, config in configs.items()}
        groups: dict[tuple[Any, ...], set[str]] = {}
        for job, config in configs.items():
            groups.setdefault(tuple(config.get(name) for name in by), set()).add(repr(values[job]))
        told_apart = any(len(found) > 1 for found in groups.values())
        if not told_apart and key.startswith("init."):
            values = {job: config.get(key) if _is_set(key, config) else None for job, config in configs.items()}
            told_apart = len({repr(value) for value in values.values()}) > 1
        if told_apart:
            known = ["null" if value is None else value for value in values.values()]
            shown[key.removesuffix(".name") if key in NAMES else key] = known
    if not shown:
        shown["init"] = [config.get("init.name") for config in configs.values()]
    return pd.DataFrame(shown, index=pd.Index(configs, name="job"), dtype=object)


def _is_set(key: str, config: Mapping[str, Any]) -> bool:
    """Whether a parameter of an initializer is not what its scheme has by default: `init.std=0.4` of `init=normal`."""
    parameter = key.removeprefix("init.")
    try:
        # Of a nested rule, such as init.output.gain, the whole counts.
        return bool(config.get(key) != default_of("init", str(config["init.name"]), parameter.split(".")[0], config))
    except KeyError:  # a scheme of a plug-in, which has no file
        return False


def _explained_by(key: str) -> tuple[str, ...]:
    """The names from which a parameter's value may follow."""
    group = f"{key.split('.')[0]}.name"
    if group in ("init.name", "activation.name"):
        return (group,)
    if key in ("optim.scaling", "optim.base_width"):  # init=mup has rates of its own
        return ("data.name", group, "init.name")
    return ("data.name", group) if group in NAMES else ("data.name",)


def label_of(differing: pd.DataFrame, job: str, *, without: Collection[str] = ()) -> str:
    """A job in a few words: the values that tell it apart, `he, optim.lr=0.1`.

    Args:
        differing: One row a job, as `differing_keys` returns it.
        job: Name of the job, of the index of `differing`.
        without: Keys to leave out, which a reader knows already.
    """
    values = {str(key): value for key, value in differing.loc[job].items() if str(key) not in without}
    # A parameter of a named thing may be null because only others have it.
    told = {key: value for key, value in values.items() if value != "null" or "." not in key} or values
    words = [shortest(value) if key in SELF_EXPLAINING else f"{key}={shortest(value)}" for key, value in told.items()]
    return ", ".join(words) or job
