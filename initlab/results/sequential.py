"""Adding seeds until it is decided: when to look, which pairs are open, and whose seeds would help.

Looking at a study again and again until a difference shows finds one sooner or later, where there is none. So the looks
are set beforehand, each may be wrong in its share of the cases only, and the intervals of a study with `seeds=auto` are
as wide as that takes: they hold at all looks together (repeated confidence intervals, Jennison & Turnbull 1989). So it
may end at any of them.

Source: Lan & DeMets 1983 on spending the error over looks; by Bonferroni's inequality, which holds however looks depend
on each other, as they do through the test rows.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Look:
    """What a look at a study shows.

    Attributes:
        pairs: How many pairs are of interest.
        decided: How many of them are better, worse or equivalent.
        helped: Jobs more seeds of which may decide what is open, in the order of the candidates.
        names: Of these jobs, what the candidates are called.
        hopeless: How many open pairs the seeds that are allowed will hardly decide.
    """

    pairs: int
    decided: int
    helped: Sequence[str]
    names: Sequence[str]
    hopeless: int

    def words(self, seeds: int, wanted: int) -> str:
        """What it shows in a line, and what comes next.

        Args:
            seeds: How many there are.
            wanted: How many there will be at the next look; the same number: there is none.
        """
        line = f"{self.decided} of {counted(self.pairs, 'pair')} decided with {counted(seeds, 'seed')}"
        if self.hopeless:
            line += f", {self.hopeless} will hardly be"
        if not self.helped or wanted <= seeds:
            return line
        return f"{line}; {counted(wanted - seeds, 'more seed')} for {listed(list(self.names), 8)}"


def look_at(analysis: Analysis, *, interest: Literal["all", "best"] = "all", most: int) -> Look:
    """Which pairs of a study are decided, and which jobs need more seeds.

    Args:
        analysis: As `analyse` returns it, of a study with the seeds of this look.
        interest: Whether all pairs of a condition count, or those with its best candidate only.
        most: Seeds that are allowed.
    """
    pairs = analysis.pairs
    if interest == "best":
        best = analysis.candidates.groupby(CONDITION, sort=False)["candidate"].first()
        keys = pd.MultiIndex.from_frame(pairs[CONDITION])
        pairs = pairs[pairs["a"].to_numpy() == best.reindex(keys).to_numpy()] if len(pairs) else pairs
    open_ones = pairs[pairs["verdict"] == "undecided"]
    sizes = analysis.candidates.groupby(CONDITION).size()
    fair = [_may_be_decided(analysis, row, int(sizes[tuple(row[CONDITION])]), most) for _, row in open_ones.iterrows()]
    able = open_ones[pd.Series(fair, index=open_ones.index, dtype=bool)]
    of_candidate = analysis.candidates.set_index([*CONDITION, "candidate"])["job"]
    wanted = {
        str(of_candidate[(*condition, name)])
        for *condition, a, b in able[[*CONDITION, "a", "b"]].to_numpy()
        for name in (a, b)
    }
    rows = analysis.candidates[analysis.candidates["job"].isin(wanted)]
    return Look(
        pairs=len(pairs),
        decided=len(pairs) - len(open_ones),
        helped=list(rows["job"].astype(str)),
        names=list(dict.fromkeys(rows["candidate"].astype(str))),
        hopeless=len(open_ones) - len(able),
    )


def _may_be_decided(analysis: Analysis, pair: pd.Series, candidates: int, most: int) -> bool:
    """Whether an open pair has a fair chance to be decided by the seeds that are allowed."""
    if pair["seeds"] < 2:
        return bool(pair["seeds"] < most)
    found = Estimate(pair["difference"], pair["of_seeds"], pair["of_rows"], int(pair["seeds"]), int(pair["rows"]))
    error = pairwise_significance(significance(analysis.level) / analysis.study.looks, candidates)
    return found.seeds < most and chance_to_be_decided(found, error, analysis.margin, most) > FAIR_CHANCE


def first_seeds(study: Study, first: int, count: int) -> Study:
    """What a look with so many seeds sees of a study that has more, as where an interrupted command goes on.

    Args:
        study: As `read_study` returns it; it stays as it is.
        first: The first seed.
        count: How many seeds.
    """
    members = study.members[study.members["seed"] < first + count]
    seen = pd.MultiIndex.from_frame(members[["job", "member"]])
    history = study.history[pd.MultiIndex.from_frame(study.history[["job", "member"]]).isin(seen)]
    return replace(study, members=members.reset_index(drop=True), history=history.reset_index(drop=True))
