"""What a sweep says: one row a job."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from initlab.config import NOT_IDENTITY
from initlab.errors import UserError
from initlab.results.statistics import mean_and_interval
from initlab.results.store import finished_jobs, read_config, read_table, write_whole

# What is compared, each with the names that explain its differences: a data set brings its model and optimizer.
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "data.name": (),
        "model.name": ("data.name",),
        "activation.name": (),
        "init.name": (),
        "optim.name": ("data.name",),
    }
)
SELF_EXPLAINING = tuple(name.removesuffix(".name") for name in NAMES)
NOT_COMPARED = NOT_IDENTITY | {"seeds"}


@dataclass(frozen=True)
class Study:
    """The finished jobs of a sweep.

    Attributes:
        members: Their members tables, one below the other.
        history: Their history tables.
        differing: For each job the configuration keys in which the jobs differ, shape (jobs, keys), by job name.
        common: The configuration keys in which they agree, with their values.
        configs: The flat configuration of each job, by its name.
    """

    members: pd.DataFrame
    history: pd.DataFrame
    differing: pd.DataFrame
    common: Mapping[str, Any] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def label(self, job: str, *, without: Collection[str] = ()) -> str:
        """A job in a few words: what tells it apart, leaving out some keys that a reader knows already."""
        return label_of(self.differing, job, without=without)


def label_of(differing: pd.DataFrame, job: str, *, without: Collection[str] = ()) -> str:
    """A job in a few words: what tells it apart, of `differing_keys`."""
    words = []
    for key, value in differing.loc[job].items():
        if str(key) not in without:
            short = shortest(value)
            words.append(short if key in SELF_EXPLAINING else f"{key}={short}")
    return ", ".join(words) or job


def shortest(value: object) -> str:
    """A configuration value as text, numbers in their shortest form that is exact."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def read_study(directory: Path) -> tuple[Study | None, list[str]]:
    """Read the tables of all finished jobs of a sweep, and say which cannot be read.

    Returns:
        The study, None if there is nothing to read; and for each job with a damaged table, or one of another schema
        version, a line that says so.
    """
    members, history, configs, unreadable = [], [], {}, []
    for job in finished_jobs(directory):
        try:
            tables = [read_table(job, name) for name in ("members", "history")]
            configs[job.name] = flat_config(read_config(job))
        except UserError as error:
            unreadable.append(str(error))
            continue
        members.append(tables[0])
        history.append(tables[1])
    if not members:
        return None, unreadable
    first = next(iter(configs.values()))
    common = {key: value for key, value in first.items() if all(other.get(key) == value for other in configs.values())}
    of_members, of_history = (pd.concat(parts, ignore_index=True) for parts in (members, history))
    return Study(of_members, of_history, differing_keys(configs), common, configs), unreadable


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

    A sweep over initializers changes their gains, too, and one over data sets the recipes: a key of a group is shown
    only where it differs between jobs that agree on the group's name, and on the data set.

    Args:
        configs: Flat configuration of each job.

    Returns:
        One row a job, indexed by its name; one column a key, `init` for `init.name`. Where nothing differs, `init`.
    """
    keys = {key for config in configs.values() for key in config} - {*NAMES, *NOT_COMPARED}
    others = sorted(key for key in keys if key.partition(".")[0] not in NOT_COMPARED)
    shown: dict[str, list[Any]] = {}
    for key in [*NAMES, *others]:
        by = NAMES.get(key, _explained_by(key))
        values = {job: config.get(key) for job, config in configs.items()}
        groups: dict[tuple[Any, ...], set[str]] = {}
        for job, config in configs.items():
            groups.setdefault(tuple(config.get(name) for name in by), set()).add(repr(values[job]))
        if any(len(found) > 1 for found in groups.values()):
            known = ["null" if value is None else value for value in values.values()]
            shown[key.removesuffix(".name") if key in NAMES else key] = known
    if not shown:
        shown["init"] = [config.get("init.name") for config in configs.values()]
    return pd.DataFrame(shown, index=pd.Index(configs, name="job"), dtype=object)


def _explained_by(key: str) -> tuple[str, ...]:
    """The names from which a parameter's value may follow."""
    group = f"{key.split('.')[0]}.name"
    if group in ("init.name", "activation.name"):
        return (group,)
    return ("data.name", group) if group in NAMES else ("data.name",)


def summarize(study: Study, *, seed: int = 0) -> pd.DataFrame:
    """One row a job, best first within each data set: scores on different data do not compare.

    Means and intervals are over the members that did not diverge; these are counted in `diverged`. For the order
    a diverged member counts as score 0, so that a scheme does not rank by its few survivors, and a job's negative R²
    as 0, too, so that it is not worse to have survived.

    Args:
        study: Finished jobs.
        seed: Of the bootstrap; equal tables give equal numbers.

    Returns:
        job, the differing keys, seeds, diverged, the metric, mean, low and high end of the 95 % bootstrap interval
        of test score and test loss, the threshold, and epochs_to_threshold: the median over all members, where those
        that never reached it count as later than all others; NaN unless more than half did. `reached` counts those
        that did, whatever became of them later.
    """
    rows = []
    data_sets = list(study.members["data"].unique())
    for job, members in study.members.groupby("job", sort=False):
        rng = np.random.default_rng([seed, len(members)])
        finished = (members["status"] == "finished").to_numpy()
        row: dict[str, Any] = {
            "job": job,
            **{str(key): value for key, value in study.differing.loc[str(job)].items()},
            "seeds": len(members),
            "diverged": int((~finished).sum()),
            "metric": members["metric"].iloc[0],
        }
        for column in ("test_score", "test_loss"):
            values = members[column].to_numpy(np.float64, na_value=np.nan)
            mean, low, high = mean_and_interval(np.where(finished, values, np.nan), rng=rng)
            row |= {f"{column}_mean": mean, f"{column}_low": low, f"{column}_high": high}
        epochs = members["epochs_to_threshold"].to_numpy(np.float64, na_value=np.inf)
        # The upper of the two middle values: half of the members need not have reached it.
        median = np.sort(epochs)[len(epochs) // 2]
        row |= {
            "threshold": float(members["threshold"].iloc[0]),
            "epochs_to_threshold": median if np.isfinite(median) else np.nan,
            "reached": int(np.isfinite(epochs).sum()),
        }
        row["_data"] = data_sets.index(members["data"].iloc[0])
        row["_order"] = max(np.nan_to_num(row["test_score_mean"]), 0.0) * finished.mean()
        rows.append(row)
    order = {"_data": True, "metric": True, "_order": False, "test_loss_mean": True}
    table = pd.DataFrame(rows).sort_values(list(order), ascending=list(order.values()), kind="stable")
    return table.drop(columns=["_data", "_order"]).reset_index(drop=True)


def write_summary(directory: Path, table: pd.DataFrame) -> Path:
    """Write summary.csv into a sweep's directory, and say where."""
    path = directory / "summary.csv"
    write_whole(path, lambda partial: table.to_csv(partial, index=False))
    return path
