"""Adding seeds until it is decided: when to look, which pairs are open, and whose seeds would help.

Looking at a study again and again until a difference shows finds one sooner or later, where there is none. So the looks
are set beforehand, each may be wrong in its share of the cases only, and the intervals of a study with `seeds=auto` are
as wide as that takes: they hold at all looks together (repeated confidence intervals, Jennison & Turnbull 1989). So it
may end at any of them.

Source: Lan & DeMets 1983 on spending the error over looks; by Bonferroni's inequality, which holds however looks depend
on each other, as they do through the test rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pandas as pd

from initlab.base.wording import counted, listed
from initlab.results.analysis import Analysis
from initlab.results.candidates import CONDITION
from initlab.results.confidence import significance
from initlab.results.crossed import Estimate
from initlab.results.multiplicity import pairwise_significance
from initlab.results.pairs import chance_to_be_decided
from initlab.results.study import Study

FAIR_CHANCE: Final = 0.1  # that a pair is decided in the end: for less, no seeds are added
LINE: Final = 80  # characters


@dataclass(frozen=True)
class Look:
    """What a look at a study shows.

    Attributes:
        pairs: How many pairs are of interest.
        decided: How many of them are better, worse or equivalent.
        seeds: How many seeds the pair with most has.
        helped: Jobs more seeds of which may decide what is open, in the order of the candidates.
        names: Of these jobs, what the candidates are called.
        conditions: How many conditions the pairs are of.
    """

    pairs: int
    decided: int
    seeds: int
    helped: Sequence[str]
    names: Sequence[str]
    conditions: int

    @property
    def words(self) -> str:
        """How much is decided."""
        return f"{self.decided} of {counted(self.pairs, 'pair')} decided with {counted(self.seeds, 'seed')}"

    def going_on(self, more: int) -> str:
        """How much is decided, and that so many seeds come next, in a line."""
        start = f"{self.words}; {counted(more, 'more seed')} for "
        named = start + listed(list(self.names), 8)
        return named if self.conditions == 1 and len(named) <= LINE else start + counted(len(self.helped), "job")


def look_at(
    analysis: Analysis,
    *,
    interest: Literal["all", "best"] = "all",
    most: int,
    jobs: Collection[str] | None = None,
    failed: Collection[str] = (),
) -> Look:
    """Which pairs of a study are decided, and which jobs need more seeds.

    Args:
        analysis: As `analyse` returns it, of a study with the seeds of this look.
        interest: Whether all pairs of a condition count, or those with its best candidate only.
        most: Seeds that are allowed.
        jobs: Those that may get more seeds, whose pairs count; None: all.
        failed: Those of them that have failed, and get no more.
    """
    candidates, pairs = analysis.candidates, analysis.pairs
    if jobs is not None:
        candidates = candidates[candidates["job"].isin(list(jobs))]
    of_candidate = candidates.drop_duplicates([*CONDITION, "candidate"]).set_index([*CONDITION, "candidate"])["job"]
    keys = {side: pd.MultiIndex.from_frame(pairs[[*CONDITION, side]]) for side in ("a", "b")}
    pairs = pairs.assign(**{f"job_{side}": of_candidate.reindex(keys[side]).to_numpy() for side in keys})
    pairs = pairs.dropna(subset=["job_a", "job_b"])  # of many candidates there are only those with the best, anyway
    if interest == "best" and len(pairs):
        best = candidates.groupby(CONDITION, sort=False)["candidate"].first()
        pairs = pairs[pairs["a"].to_numpy() == best.reindex(pd.MultiIndex.from_frame(pairs[CONDITION])).to_numpy()]
    open_ones = pairs[pairs["verdict"] == "undecided"]
    sizes = analysis.candidates.groupby(CONDITION).size()
    wanted: set[str] = set()
    for _, pair in open_ones.iterrows():
        both = {str(pair["job_a"]), str(pair["job_b"])}
        if both.isdisjoint(failed) and _may_be_decided(analysis, pair, int(sizes[tuple(pair[CONDITION])]), most):
            wanted |= both
    rows = candidates[candidates["job"].isin(wanted)]
    return Look(
        pairs=len(pairs),
        decided=len(pairs) - len(open_ones),
        seeds=int(pairs["seeds"].max()) if len(pairs) else 0,
        helped=list(rows["job"].astype(str)),
        names=list(dict.fromkeys(rows["candidate"].astype(str))),
        conditions=len(pairs[CONDITION].drop_duplicates()),
    )


def _may_be_decided(analysis: Analysis, pair: pd.Series, candidates: int, most: int) -> bool:
    """Whether an open pair has a fair chance to be decided by the seeds that are allowed."""
    if pair["seeds"] < 2:
        return bool(pair["seeds"] < most)
    found = Estimate(pair["difference"], pair["of_seeds"], pair["of_rows"], int(pair["seeds"]), int(pair["rows"]))
    error = pairwise_significance(significance(analysis.level) / analysis.study.looks, candidates)
    return found.seeds < most and chance_to_be_decided(found, error, analysis.margin, most) > FAIR_CHANCE


def seen_with(study: Study, first: int, count: int) -> Study:
    """What a look with so many seeds sees of a study that has more, as where an interrupted command goes on.

    Args:
        study: As `read_study` returns it; it stays as it is.
        first: The first seed of the command. Those before it are seen at all looks.
        count: How many seeds from there on.
    """
    later = study.members["seed"] >= first + count
    if not later.any():
        return study
    members = study.members[~later]
    seen = pd.MultiIndex.from_frame(members[["job", "member"]])
    history = study.history[pd.MultiIndex.from_frame(study.history[["job", "member"]]).isin(seen)]
    return replace(study, members=members.reset_index(drop=True), history=history.reset_index(drop=True))
