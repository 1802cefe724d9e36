"""What a study says: its candidates and what is known of each, their comparison, and their ranks across data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.random import Generator

from initlab.base.errors import UserError
from initlab.base.forking import in_two
from initlab.results.candidates import CONDITION, Axes, arrange, candidate_names, choose_rates, find_axes
from initlab.results.comparison import spread_over_seeds
from initlab.results.confidence import LEVEL, MARGIN
from initlab.results.intervals import bootstrap_intervals, interquartile_mean, share_and_interval
from initlab.results.pairs import compare_pairs
from initlab.results.pooling import pool_seeds
from initlab.results.ranks import Ranks, rank_across
from initlab.results.speed import epochs_to_threshold, median_epochs
from initlab.results.study import Study
from initlab.results.summary import summarize

Condition = tuple[str, str, str]  # data set, metric, setting
MANY_MEMBERS: Final = 400  # whose statistics take some tenths of a second


@dataclass(frozen=True)
class Analysis:
    """What a study says, as tables.

    Attributes:
        study: The tables that it was read from, in which jobs that differ in seeds alone are one.
        axes: Which keys are compared, which have to agree, and which are tuned.
        jobs: One row a job, as `candidates.arrange` returns it.
        candidates: One row a candidate and condition, best first: the columns of `candidates.choose_rates`, statistics
            on test rows over the members that did not diverge (`score`, `median`, `iqm`, `loss` with `_low` and
            `_high`), `covers` and `share_of_rows` of `summarize`, and `standing`: how it stands to the best of its
            condition: `best`, `equivalent`, `worse` or `undecided`; `alone`: no other has that condition.
        pairs: One row a pair of candidates and condition, as `pairs.compare_pairs` returns it.
        summary: One row a job, as `summary.summarize` returns it, with `standing`, which is empty for jobs that are no
            candidates; the candidates' means and intervals are from there.
        ranked: Names of the candidates that every condition has, in the order in which `ranks` has them.
        ranks: Ranks across data sets; None where there are fewer than two of these, or of such candidates.
        level: Confidence level of all its intervals and tests, in (0, 1).
        margin: A difference of scores that does not matter.
    """

    study: Study
    axes: Axes
    jobs: pd.DataFrame
    candidates: pd.DataFrame
    pairs: pd.DataFrame
    summary: pd.DataFrame
    ranked: tuple[str, ...] = ()
    ranks: Ranks | None = None
    level: float = LEVEL
    margin: float = MARGIN

    @cached_property
    def conditions(self) -> list[Condition]:
        """Data set, metric and setting of each condition, in the order in which `candidates` has them."""
        distinct = self.candidates[CONDITION].drop_duplicates()
        return [(str(data), str(metric), str(setting)) for data, metric, setting in distinct.to_numpy()]

    @cached_property
    def by_overall_rank(self) -> list[str]:
        """Names of all candidates, the best mean rank over the conditions first."""
        places = self.candidates.groupby(CONDITION, sort=False)["test"].rank(ascending=False)
        return list(places.groupby(self.candidates["candidate"], sort=False).mean().sort_values(kind="stable").index)

    @cached_property
    def whole(self) -> list[str]:
        """Names of the candidates of the study that this one was selected from; empty where it is a whole one."""
        whole = self.study.whole
        return [] if whole is None else list(candidate_names(whole).unique())

    @cached_property
    def names_in_whole(self) -> Mapping[str, str]:
        """What each candidate is called in the study that this one was selected from; else, its own name.

        Candidates keep their own names where the whole study compares something else, so that several are one there.
        """
        own = {name: name for name in self.by_overall_rank}
        if self.study.whole is None:
            return own
        named = self.candidates["job"].map(candidate_names(self.study.whole))
        found = {name: set(named[self.candidates["candidate"] == name]) for name in own}
        names = {name: next(iter(several)) for name, several in found.items() if len(several) == 1}
        return names if len(set(names.values())) == len(own) else own

    @cached_property
    def by_job(self) -> Mapping[str, pd.DataFrame]:
        """Rows of the members table, by job."""
        return {str(job): rows for job, rows in self.study.members.groupby("job", sort=False)}

    @cached_property
    def curves(self) -> Mapping[str, pd.DataFrame]:
        """Validation scores by job: tables of shape (members, epochs), whose columns are the epochs from 0 on."""
        rows = self.study.history[self.study.history["split"] == "val"]
        return {
            str(job): part.pivot(index="member", columns="epoch", values="score") for job, part in rows.groupby("job")
        }

    def candidates_under(self, condition: Condition) -> pd.DataFrame:
        """The candidates of a condition, best first."""
        return _rows_under(self.candidates, condition)

    def jobs_under(self, condition: Condition) -> pd.DataFrame:
        """The jobs of a condition, those at other learning rates than the best included."""
        return _rows_under(self.jobs, condition)

    def pairs_under(self, condition: Condition) -> pd.DataFrame:
        """The pairs of candidates of a condition."""
        return _rows_under(self.pairs, condition)

    def title(self, condition: Sequence[str]) -> str:
        """A condition in a few words: `wine, tanh`."""
        data, _, setting = condition
        return f"{data}, {setting}" if setting else data


def _rows_under(table: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    return table[(table[CONDITION] == list(condition)).all(axis=1)]


def analyse(
    study: Study, *, seed: int = 0, level: float = LEVEL, margin: float = MARGIN, tune: bool = False
) -> Analysis:
    """Compare the candidates of a study, each at its best learning rate.

    Example:
        >>> from pathlib import Path
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> analysis.candidates[["data", "setting", "candidate", "score", "standing"]]  # doctest: +SKIP
        >>> analysis.pairs[["a", "b", "difference", "p_adjusted", "verdict"]]  # doctest: +SKIP

    Args:
        study: As `read_study` returns it, with at least one finished job.
        seed: Seed of the bootstrap and of what ranks are shuffled by; equal tables and seeds give equal numbers.
        level: Confidence level of all intervals and tests, in (0, 1).
        margin: A difference of scores that does not matter: candidates closer than that are equivalent.
        tune: Whether the learning rate is tuned even if nothing else differs: then its values are no candidates.

    Raises:
        UserError: no job of the study has finished.
    """
    if study.members.empty:
        raise UserError("the study has no results: is that its folder, and has a job finished?")
    rng = np.random.default_rng(seed)
    study = pool_seeds(study)
    axes = find_axes(study.differing, tune=tune)
    jobs = arrange(study, axes)
    candidates = choose_rates(jobs, axes)
    summary = summarize(study, seed=seed, level=level)
    chosen = study.members[study.members["job"].isin(candidates["job"])]  # of thousands of jobs a few
    groups = {str(job): members for job, members in chosen.groupby("job", sort=False)}
    of_job = summary.set_index("job")
    tasks = [partial(_describe, groups[job], of_job.loc[job], seed, level) for job in candidates["job"]]
    described = in_two(tasks) if len(chosen) >= MANY_MEMBERS else [task() for task in tasks]
    candidates = candidates.join(pd.DataFrame(described, index=candidates.index))
    pairs = compare_pairs(study, candidates, level=level, margin=margin, looks=study.looks)
    candidates["standing"] = _standing(candidates, pairs)
    candidates["leading"] = candidates["standing"] != "worse"
    summary["standing"] = summary["job"].map(candidates.set_index("job")["standing"]).fillna("")
    ranked, ranks = _across_data(candidates, rng, level)
    return Analysis(study, axes, jobs, candidates, pairs, summary, ranked, ranks, level, margin)


def _describe(members: pd.DataFrame, summary: pd.Series, seed: int, level: float) -> dict[str, Any]:
    """Statistics of one candidate's members.

    Args:
        members: The candidate's rows of the members table.
        summary: The row of its job in `summarize`, whose means and intervals are used.
        seed: Seed of the bootstrap.
        level: Confidence level of the intervals.
    """
    diverged, seeds = int(summary["diverged"]), int(summary["seeds"])
    row: dict[str, Any] = {"seeds": seeds, "diverged": diverged}
    _, row["diverged_low"], row["diverged_high"] = share_and_interval(diverged, seeds, level=level)
    for name, column in {"score": "test_score", "loss": "test_loss"}.items():
        row |= {f"{name}{end}": float(summary[f"{column}{end or '_mean'}"]) for end in ("", "_low", "_high")}
    row |= {name: summary[name] for name in ("covers", "share_of_rows")}
    finished = (members["status"] == "finished").to_numpy()
    scores = members["test_score"].to_numpy(np.float64, na_value=np.nan)[finished]
    rng = np.random.default_rng([seed, seeds])
    few = np.full((2, 1), np.nan)
    statistic: Literal["median", "iqm"]
    for statistic, value in (("median", np.median), ("iqm", interquartile_mean)):
        several = len(scores) > 1
        ends = bootstrap_intervals(scores[None], statistic, level=level, rng=rng) if several else few
        row[statistic] = float(value(scores)) if len(scores) else np.nan
        row[f"{statistic}_low"], row[f"{statistic}_high"] = ends[:, 0]
    row["std"] = spread_over_seeds(scores) if len(scores) > 1 else np.nan
    epochs = epochs_to_threshold(members)
    row["threshold"] = float(members["threshold"].iloc[0])
    row["reached"] = int(np.isfinite(epochs).sum())
    row["epochs"], row["epochs_low"], row["epochs_high"] = median_epochs(epochs, level=level)
    return row


def _standing(candidates: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """How each candidate stands to the best of its condition: `best`, `equivalent`, `worse` or `undecided`; or `alone`.

    Where each has a condition of its own, as with one candidate in several networks, all are the best they have.
    """
    # The best mean may be of other seeds: that on common ones it is worse than another decides nothing.
    words = {"better": "worse", "worse": "undecided", "equivalent": "equivalent", "undecided": "undecided"}
    columns = zip(*(pairs[name] for name in [*CONDITION, "a", "b"]), strict=True)
    found = {key: words[verdict] for key, verdict in zip(columns, pairs["verdict"], strict=True)}
    best = candidates.groupby(CONDITION, sort=False)["candidate"].transform("first")
    keys = zip(*(candidates[name] for name in CONDITION), best, candidates["candidate"], strict=True)
    of_condition = candidates.groupby(CONDITION, sort=False)["candidate"].transform("size")
    lone = "alone" if of_condition.max() > 1 else "best"
    return [lone if size == 1 else found.get(key, "best") for key, size in zip(keys, of_condition, strict=True)]


def _across_data(candidates: pd.DataFrame, rng: Generator, level: float) -> tuple[tuple[str, ...], Ranks | None]:
    """Rank the candidates that all conditions have, by their mean rank over the conditions of each data set."""
    conditions = candidates[CONDITION].drop_duplicates()
    counts = candidates.groupby("candidate", sort=False).size()
    common = [str(name) for name, count in counts.items() if count == len(conditions)]
    shared = candidates[candidates["candidate"].isin(common)]
    one_name = shared["data"].nunique() > shared["name"].nunique()  # parts of one data set are no samples of data sets
    if len(common) < 2 or shared["data"].nunique() < 2 or one_name:
        return (), None
    ranks = shared.groupby(CONDITION, sort=False)["test"].rank(ascending=False)
    of_data = ranks.groupby([shared["data"], shared["candidate"]], sort=False).mean().unstack()
    found = rank_across(-of_data.to_numpy(np.float64), rng=rng, level=level)
    return tuple(map(str, of_data.columns)), found
