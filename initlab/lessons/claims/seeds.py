"""One run each shows which scheme is better?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.style import ink, literal
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import in_percent
from initlab.lessons.scheme_names import scheme_name
from initlab.results.confidence import percent

LEVEL: Final = 0.95  # that of the report's intervals


@dataclass(frozen=True)
class Drawn:
    """What all draws of one network each say of two schemes, of which many networks say which is better.

    Attributes:
        better: The scheme that many networks name.
        worse: The other.
        difference: Of their means.
        spreads: The same in standard deviations of a single run.
        right: Share of draws in which the better one's network scores higher.
        tied: In which both score the same.
    """

    better: str
    worse: str
    difference: float
    spreads: float
    right: float
    tied: float

    @property
    def wrong(self) -> float:
        """Share of draws in which the worse one's network scores higher."""
        return 1 - self.right - self.tied

    @property
    def named(self) -> bool:
        """Whether one run each can be relied upon."""
        return self.right >= LEVEL


def drawn_pairs(tables: Tables) -> Sequence[Drawn]:
    """All draws of each pair that many networks decide, the closest pair first."""
    members, pairs = tables["trained.members"], tables["trained.pairs"]
    scores = {str(name): part["test_score"].to_numpy(float) for name, part in members.groupby("init")}
    decided = [
        (row.a, row.b) if row.verdict == "better" else (row.b, row.a)
        for row in pairs[pairs["verdict"].isin(["better", "worse"])].itertuples()
    ]
    drawn = [_drawn(scores, str(better), str(worse)) for better, worse in decided]
    return sorted(drawn, key=lambda pair: pair.spreads)


def _drawn(scores: dict[str, np.ndarray], better: str, worse: str) -> Drawn:
    one, other = np.nan_to_num(scores[better]), np.nan_to_num(scores[worse])  # of a diverged network: the lowest
    each = np.sign(np.subtract.outer(one, other).round(9))
    spread = float(np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2))
    difference = float(one.mean() - other.mean())
    spreads = difference / spread if spread > 0 else np.inf
    return Drawn(better, worse, difference, spreads, float((each > 0).mean()), float((each == 0).mean()))


def judge(tables: Tables) -> Finding:
    """The claim holds for pairs whose winner one run each names in 95 of 100 draws."""
    drawn, members = drawn_pairs(tables), tables["trained.members"]
    networks = int(members.groupby("init")["seed"].nunique().min())
    certainty = f"{networks} networks of each scheme; all {networks**2:,} draws of a pair are counted."
    if not drawn:
        return Finding("undecided", [f"{networks} networks decide no pair."], certainty, "there is no winner to name")
    pairs = len(tables["trained.pairs"])
    seen = [f"{networks} networks of each scheme decide {len(drawn)} of {pairs} pairs.", _sentence(drawn[0], networks)]
    if len(drawn) > 1:
        seen.append(_sentence(drawn[-1], networks))
    if all(pair.named for pair in drawn):
        return Finding("holds", seen, certainty)
    if not any(pair.named for pair in drawn):
        return Finding("does not hold", seen, certainty, f"no winner is named by {percent(LEVEL)} of the draws")
    unnamed = max(place for place, pair in enumerate(drawn) if not pair.named)
    if unnamed == len(drawn) - 1:
        return Finding("undecided", seen, certainty, "closer pairs are named more often than wider ones")
    where = (
        f"the means of both schemes differ by {drawn[unnamed + 1].spreads:.1f} standard deviations of a run or more: "
        f"then one run each names the better scheme in at least {percent(LEVEL)} of draws; at "
        f"{drawn[unnamed].spreads:.1f} it does not"
    )
    return Finding("holds only where", seen, certainty, where)


def _sentence(pair: Drawn, networks: int) -> str:
    right, wrong, equal = (in_percent(share) for share in (pair.right, pair.wrong, pair.tied))
    return (
        f"{scheme_name(pair.better)} beats {scheme_name(pair.worse)} by {pair.difference:.3f} over {networks} "
        f"networks, {pair.spreads:.1f} standard deviations of a run: one run each says so in {right} of all draws, the "
        f"opposite in {wrong}, and both score the same in {equal}."
    )


def draw(tables: Tables) -> Figure:
    """What single draws say of each pair."""
    drawn = drawn_pairs(tables)[::-1]
    figure = Figure(figsize=(6.4, 1.4 + 0.42 * max(len(drawn), 1)), layout="constrained")
    axes = figure.add_subplot()
    places, left = np.arange(len(drawn)), np.zeros(len(drawn))
    names = [
        f"{literal(scheme_name(pair.better))} over\n{literal(scheme_name(pair.worse))} (+{pair.difference:.3f})"
        for pair in drawn
    ]
    parts = pd.DataFrame(
        {
            "names the winner": [pair.right for pair in drawn],
            "both score the same": [pair.tied for pair in drawn],
            "names the loser": [pair.wrong for pair in drawn],
        }
    )
    for label, color in zip(parts, ("#0072B2", "0.8", "#E69F00"), strict=True):
        axes.barh(places, parts[label], left=left, color=color, label=label)
        left = left + parts[label].to_numpy()
    axes.axvline(LEVEL, color=ink(), linestyle=":", linewidth=1)
    if not drawn:
        axes.text(0.5, 0.5, "no pair is decided", transform=axes.transAxes, ha="center", va="center")
    axes.set_yticks(places, names)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of draws of one run each")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure
