"""What a study compares: candidates, each at its best learning rate, under the conditions that they share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from initlab.results.differences import RATE, label_of
from initlab.results.pooling import pool_seeds
from initlab.results.scores import DIGITS, counted_scores
from initlab.results.study import Study

CONDITION = ["data", "metric", "setting"]  # what candidates must share to be compared
WITHIN = 0.01  # of the best score: a learning rate that is about as good
CHECKSUM_SHOWN = 6


@dataclass(frozen=True)
class Axes:
    """The parts that the differing keys of a study play.

    Attributes:
        compared: Keys that tell candidates apart: the initializer and its parameters where they differ, else all keys
            that do.
        conditions: Keys that candidates must share to be compared, beside data set and metric.
        tuned: The key of the learning rate, where each candidate takes its best one; else empty.
    """

    compared: tuple[str, ...]
    conditions: tuple[str, ...]
    tuned: tuple[str, ...]


def find_axes(differing: pd.DataFrame, *, tune: bool = False) -> Axes:
    """Say of each key in which a study's jobs differ whether it is compared, tuned, or has to agree.

    Args:
        differing: One row a job, one column a key, as `differing_keys` returns it.
        tune: Whether the learning rate is tuned even if nothing else differs, so that there is one candidate.
    """
    keys = [str(key) for key in differing if key != "data"]
    others = [key for key in keys if key != RATE]
    compared = [key for key in others if key.partition(".")[0] == "init"] or others or ([] if tune else keys)
    tuned = [key for key in keys if key not in compared and key == RATE]
    return Axes(tuple(compared), tuple(key for key in others if key not in compared), tuple(tuned))


def count_candidates(differing: pd.DataFrame) -> int:
    """How many candidates jobs make at most under one condition.

    Args:
        differing: One row a job, one column a key, as `differing_keys` returns it.
    """
    axes = find_axes(differing)
    keys = [*(["data"] if "data" in differing else []), *axes.conditions]
    compared = differing[list(axes.compared)].astype(str).agg(" ".join, axis=1)
    if not keys:
        return compared.nunique()
    return int(compared.groupby([differing[key].astype(str) for key in keys]).nunique().max())


def candidate_names(differing: pd.DataFrame) -> pd.Series:
    """The name of each job's candidate, by job; empty where nothing but the data differs.

    Args:
        differing: One row a job, one column a key, as `differing_keys` returns it.
    """
    keys = find_axes(differing).compared
    names = [label_of(differing[list(keys)], str(job)) if keys else "" for job in differing.index]
    return pd.Series(names, index=differing.index, dtype=object)


def arrange(study: Study, axes: Axes) -> pd.DataFrame:
    """One row a job: its data, condition, candidate and learning rate, with its mean validation and test scores.

    Data sets of one name that differ in their rows are told apart by their checksums, unless a key of theirs says how
    they differ, such as `data.steps`: then the setting tells them apart. Jobs that differ in their seeds only are one,
    as `pool_seeds` makes it.

    Args:
        study: Finished jobs, as `read_study` returns them.
        axes: Which keys make candidates and conditions, as `find_axes` returns them.

    Returns:
        Indexed by job, with data, name (the data set's), metric, seeds (how many), setting (the condition but for data
        and metric), candidate, rate, validation and test (mean `counted_scores`, the first over the seeds that all jobs
        of a candidate have), and loss (mean on test rows). Rows
        are in the order of the settings' values.
    """
    study = pool_seeds(study)
    members = study.members
    of_job = members.groupby("job", sort=False)
    table = of_job[["data", "metric", "lr"]].first().rename(columns={"lr": "rate"})
    sums = [study.metadata.get(str(job), {}).get("data_checksum") for job in table.index]
    checksums = pd.Series(sums, index=table.index, dtype=object)
    differing = study.differing.loc[table.index]
    told = [differing[key].astype(str) for key in axes.conditions if key.startswith("data.")]
    several = (
        checksums.groupby([table["data"], *told]).transform("nunique").gt(1).groupby(table["data"]).transform("any")
    )
    apart = several & checksums.notna()
    table["name"] = table["data"]
    table["data"] = table["data"].where(~apart, table["data"] + " (" + checksums.astype(str).str[:CHECKSUM_SHOWN] + ")")
    for column, keys in {"setting": axes.conditions, "candidate": axes.compared}.items():
        table[column] = [label_of(differing[list(keys)], str(job)) if keys else "" for job in table.index]
    if not axes.compared:  # one and the same on several data sets, or at several learning rates
        table["candidate"] = of_job["init"].first()
    table["seeds"] = of_job.size()
    table["test"] = counted_scores(members).groupby(members["job"]).mean().round(DIGITS)
    table["validation"] = _validation_scores(members, table)
    table["loss"] = of_job["test_loss"].mean()
    values = differing[list(axes.conditions)]
    by_value = sorted(table.index, key=lambda job: [_order(value) for value in values.loc[job]])
    return table.loc[by_value]


def _validation_scores(members: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    """Mean validation scores of jobs, by which learning rates are chosen: on the seeds that all rates have.

    A rate that was chosen may get more seeds than the others. What these bring must not count against it: the score of
    a rate that was the best of several is too high, and more seeds lower it.

    Args:
        members: The members table.
        table: One row a job, with the columns of `CONDITION` and `candidate`.
    """
    scores = pd.DataFrame(
        {"job": members["job"], "seed": members["seed"], "score": counted_scores(members, "val_score")}
    )
    means = scores.groupby("job", sort=False)["score"].mean()
    seeds = {str(job): set(rows) for job, rows in scores.groupby("job", sort=False)["seed"]}
    for _, rows in table.groupby([*CONDITION, "candidate"], sort=False):
        common = set[int]().union(*(seeds[job] for job in rows.index)).intersection(*(seeds[job] for job in rows.index))
        if common and any(seeds[job] != common for job in rows.index):
            own = scores[scores["job"].isin(rows.index) & scores["seed"].isin(common)]
            means.update(own.groupby("job")["score"].mean())
    return means.round(DIGITS)


def _order(value: object) -> tuple[int, float, str]:
    """Numbers by size, before words by the alphabet."""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def choose_rates(arranged: pd.DataFrame, axes: Axes) -> pd.DataFrame:
    """One row a candidate and condition: the job with its best learning rate, chosen on validation rows.

    The best rate is the one with the highest mean validation score, in which a diverged member counts as 0; of
    several with an equal score the middle one.

    Args:
        arranged: One row a job, as `arrange` returns it.
        axes: Whether the learning rate is tuned, as `find_axes` says.

    Returns:
        data, name (the data set's), metric, setting, candidate, job, rate, rates (how many were tried), at_edge
        (whether the best is the least or the greatest of at least 3, so that a better one may lie outside), lowest and
        highest (of the rates around the best whose validation score is within 1 % of it), decades (from one to the
        other), validation and test scores. Best test score first within data set and setting.
    """
    keys = [*CONDITION, "candidate"]
    if not axes.tuned:
        table = arranged.drop(columns="seeds").reset_index()
        table = table.assign(rates=1, at_edge=False, lowest=np.nan, highest=np.nan, decades=np.nan)
    else:
        groups = arranged.reset_index().groupby(keys, sort=False)
        rows = [{**dict(zip(keys, key, strict=True)), **_best_rate(group)} for key, group in groups]
        table = pd.DataFrame(rows)
    places = {data: place for place, data in enumerate(sorted(table["data"].unique()))}
    settings = {setting: place for place, setting in enumerate(table["setting"].unique())}
    table["_data"], table["_setting"] = table["data"].map(places), table["setting"].map(settings)
    order = {"_data": True, "metric": True, "_setting": True, "test": False, "loss": True}
    table = table.sort_values(list(order), ascending=list(order.values()), kind="stable", ignore_index=True)
    return table.drop(columns=["_data", "_setting", "loss"])


def _best_rate(jobs: pd.DataFrame) -> Mapping[str, object]:
    """The best learning rate of one candidate under one condition, and how much it matters."""
    jobs = jobs.sort_values("rate", ignore_index=True)
    scores = jobs["validation"].to_numpy(np.float64)
    highest = np.flatnonzero(scores == scores.max())
    best = int(highest[len(highest) // 2])
    good = scores >= (1 - WITHIN) * scores[best]
    low = best - int(np.argmin(np.append(good[best::-1], False))) + 1
    high = best + int(np.argmin(np.append(good[best:], False))) - 1
    rates = jobs["rate"].to_numpy(np.float64)
    learned = scores[best] > 0
    return {
        **{key: jobs.loc[best, key] for key in ("job", "name", "rate", "validation", "test", "loss")},
        "rates": len(jobs),
        "at_edge": bool(len(jobs) > 2 and learned and (best in (0, len(jobs) - 1))),
        "lowest": float(rates[low]) if learned else np.nan,
        "highest": float(rates[high]) if learned else np.nan,
        "decades": round(float(np.log10(rates[high] / rates[low])), 2) if learned else np.nan,
    }
