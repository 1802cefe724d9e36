"""How much the start matters: the spread of the score over starts, without some help and with it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import looks_of
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import Pair, pair_of
from initlab.results.confidence import MARGIN


@dataclass(frozen=True)
class Spread:
    """How far the starts of an experiment lie apart.

    Attributes:
        best: The start with the largest mean score.
        worst: That with the smallest.
        pair: How the best stands to the worst.
        near: How many of the others surely lose less to the best than what matters.
        others: How many there are beside the best.
    """

    best: str
    worst: str
    pair: Pair
    near: int
    others: int


def spread_of(tables: Tables, experiment: str) -> Spread:
    """The spread over the starts of an experiment, each at its best learning rate."""
    pairs = tables[f"{experiment}.pairs"]
    rows = _over_all(tables[f"{experiment}.candidates"]).sort_values("score")
    names = rows["candidate"].astype(str).tolist()
    worst, best = names[0], names[-1]
    near = [name for name in names[:-1] if pair_of(pairs, name, best).low > -MARGIN]
    return Spread(best, worst, pair_of(pairs, best, worst), len(near), len(names) - 1)


def judge_spread(tables: Tables, sides: Mapping[str, str]) -> Finding:
    """Whether the start matters less on the second side than on the first.

    Args:
        tables: Of two experiments that train from the same starts.
        sides: By the name of the experiment what it is in words: first without the help, then with it.
    """
    without, helped = (spread_of(tables, experiment) for experiment in sides)
    words = list(sides.values())
    seen = [
        f"{word[0].upper()}{word[1:]} the best start is {_sigma(spread.best)}, the worst {_sigma(spread.worst)}: they "
        f"differ by {spread.pair.difference:.3f} [{spread.pair.low:.3f}, {spread.pair.high:.3f}] in score; "
        f"{spread.near} of the {spread.others} others surely lie within {MARGIN:g} of the best."
        for word, spread in zip(words, (without, helped), strict=True)
    ]
    seeds = min(int(tables[f"{experiment}.candidates"]["seeds"].min()) for experiment in sides)
    certainty = (
        f"{seeds} networks of each kind, each start at its best learning rate; one that diverges scores 0. That "
        "the start matters less is said where the 95 % intervals of best minus worst lie apart."
    )
    if helped.pair.high < without.pair.low:
        return Finding("holds", seen, certainty)
    if helped.pair.low > without.pair.high:
        return Finding("does not hold", seen, certainty, f"starts lie further apart {words[1]}")
    return Finding("undecided", seen, certainty, "the intervals of both spreads overlap")


def draw_spread(tables: Tables, sides: Mapping[str, str]) -> Figure:
    """The score of each start, a line for each side; the arguments are those of `judge_spread`."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    looks = looks_of(sides.values())
    for experiment, name in sides.items():
        look, rows = looks[name], _over_all(tables[f"{experiment}.candidates"]).sort_values("start")
        axes.plot(rows["start"], rows["score"], color=look.color, linestyle=look.dash, marker="o", label=name)
        axes.fill_between(rows["start"], rows["score_low"], rows["score_high"], color=look.color, alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("standard deviation σ of the weights at the start")
    axes.set_ylabel("accuracy on test rows")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def _over_all(rows: pd.DataFrame) -> pd.DataFrame:
    """The candidates with their scores as means over all networks, those that diverged with a score of 0."""
    left = 1 - rows["diverged"] / rows["seeds"]
    means = {name: (rows[name] * left).fillna(0) for name in ("score", "score_low", "score_high")}
    counted: pd.DataFrame = rows.assign(**means, start=rows["init.std"].astype(float))
    return counted


def _sigma(name: str) -> str:
    return name.replace("init.std=", "σ = ")
