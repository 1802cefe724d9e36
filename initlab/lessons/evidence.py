"""The small tables that a lesson is judged by, from the results of its experiments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from initlab.base.errors import UserError
from initlab.lessons.finding import Tables
from initlab.lessons.lesson import Experiment, Lesson, folders_of
from initlab.reporting.probing import ProbedJob, read_probe
from initlab.results.analysis import analyse
from initlab.results.differences import differing_keys, flat_config
from initlab.results.study import read_study
from initlab.tables.store import read_table

MEMBER: Final = [
    *("seed", "status", "epochs", "train_loss", "val_score", "best_val_score", "test_loss", "test_score", "auc"),
    *("threshold", "epochs_to_threshold", "seconds"),
]
DIGITS: Final = 6
LAYER: Final = ["job", "epoch", "layer", "position"]


def collect(lesson: Lesson, root: Path) -> Tables:
    """All tables of a lesson, by `experiment.table`.

    Of an experiment that trains: `members` (a row a network, with the keys in which the jobs differ), `history` (a row
    a job, epoch and split: median and quartiles over networks), `candidates` and `pairs` (as the report's statistics
    have them), and `signal`, where it was recorded. Of one that probes: `signal` (a row a job, layer and epoch: means
    over networks, and the spread of a few), `histograms`, and `seconds` (a row a network: those of filling it).

    Args:
        lesson: The lesson.
        root: The folder of its studies.

    Raises:
        UserError: an experiment has no results there.
    """
    found: dict[str, pd.DataFrame] = {}
    for key, folder in folders_of(lesson, root).items():
        experiment = lesson.experiments[key]
        tables = _of_training(folder, experiment, lesson) if experiment.program == "train" else _of_probe(folder)
        found |= {f"{key}.{name}": _rounded(table) for name, table in tables.items()}
    return found


def _of_training(folder: Path, experiment: Experiment, lesson: Lesson) -> dict[str, pd.DataFrame]:
    study = read_study(folder)
    if study.members.empty:
        raise UserError(f"{folder}: has no results; run python -m initlab.textbook {lesson.name}")
    analysis = analyse(study, tune=experiment.tune, margin=lesson.margin)
    keys = _keys(study.differing)
    tables = {
        "members": _with_keys(study.members[["job", *MEMBER]], keys),
        "history": _with_keys(_history(study.history), keys),
        "candidates": _with_keys(analysis.candidates.drop(columns=["data"], errors="ignore"), keys),
        "pairs": analysis.pairs,
    }
    signals = [read_table(path.parent, "signal") for path in sorted(folder.glob("*/signal.parquet"))]
    if signals:
        tables["signal"] = _with_keys(_layers(pd.concat(signals, ignore_index=True)), keys)
    return tables


def _of_probe(folder: Path) -> dict[str, pd.DataFrame]:
    jobs = read_probe(folder)
    if not jobs:
        raise UserError(f"{folder}: has no results")
    keys = _keys(differing_keys({job.name: flat_config(job.config) for job in jobs}))
    return {
        "signal": _with_keys(_layers(_joined(jobs, "signal")), keys),
        "histograms": _with_keys(_joined(jobs, "histograms"), keys),
        "seconds": _with_keys(_seconds(jobs), keys),
    }


def _seconds(jobs: list[ProbedJob]) -> pd.DataFrame:
    rows = [
        (job.name, seed, seconds)
        for job in jobs  # those of earlier versions do not say it
        for seed, seconds in zip(job.metadata["seeds"], job.metadata.get("init_seconds", ()), strict=False)
    ]
    return pd.DataFrame(rows, columns=["job", "seed", "seconds"])


def _joined(jobs: list[ProbedJob], table: str) -> pd.DataFrame:
    return pd.concat([job.tables[table].assign(job=job.name) for job in jobs], ignore_index=True)


def _keys(differing: pd.DataFrame) -> pd.DataFrame:
    """One row a job: the keys in which jobs differ; of a group its name."""
    return differing.rename(columns=lambda key: str(key).removesuffix(".name"))


def _with_keys(table: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    others = keys[[key for key in keys if key not in table]]
    merged: pd.DataFrame = table.merge(others, left_on="job", right_index=True, how="left")
    return merged


def _history(history: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over a job's networks."""
    grouped = history.groupby(["job", "split", "epoch"], sort=False)
    parts = {
        f"{name}{suffix}": grouped[name].quantile(quantile)
        for name in ("score", "loss")
        for suffix, quantile in {"": 0.5, "_low": 0.25, "_high": 0.75}.items()
    }
    return pd.DataFrame(parts).reset_index()


def _layers(signal: pd.DataFrame) -> pd.DataFrame:
    """Means over a job's networks, their smallest and largest, and how many there are."""
    if "dead" in signal:  # whether every unit of a layer is dead: the mean is the share of networks where that is so
        signal = signal.assign(all_dead=(signal["dead"] == 1).astype(float).where(signal["dead"].notna()))
    numbers = [str(name) for name in signal.select_dtypes("number") if name not in (*LAYER, "member", "seed")]
    grouped = signal.groupby(LAYER, sort=False)[numbers]
    ends: Mapping[str, Any] = {"_min": grouped.min(), "_max": grouped.max()}
    parts = [grouped.mean(), *(part.add_suffix(suffix) for suffix, part in ends.items())]
    networks = signal.groupby(LAYER, sort=False)["member"].nunique().rename("networks")
    whole: pd.DataFrame = pd.concat([*parts, networks], axis=1)
    return whole.reset_index()


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The same in six significant digits, so that a table is small and one that was written is one that was read."""
    floats = [str(name) for name in table.select_dtypes("float")]
    rounded: pd.DataFrame = table.assign(
        **{name: table[name].map(lambda value: float(f"{value:.{DIGITS}g}")) for name in floats}
    )
    # Columns that were set one by one lie apart, and to choose rows takes longer.
    return rounded.copy()
