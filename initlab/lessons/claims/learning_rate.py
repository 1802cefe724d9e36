"""Initialization is one hyperparameter among others, and interacts with the learning rate?"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from initlab.figures.style import ink
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import in_percent
from initlab.results.division import HIGHER, SEED, TOTAL, divide_variance
from initlab.results.scores import counted_scores

FACTORS: Final = {"init": "initializer", "optim.lr": "learning rate", "activation": "activation"}
TOGETHER: Final = "initializer × learning rate"
ENOUGH: Final = 0.01  # a share of the variance that counts
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "0.6"


@dataclass(frozen=True)
class Share:
    """A share of the variance with its interval.

    Attributes:
        value: By itself.
        low: Of its interval.
        high: Of its interval.
        part: Of a factor, its share with all interactions; of others, NaN.
        part_low: Of the interval of that.
        part_high: Of the interval of that.
    """

    value: float
    low: float
    high: float
    part: float = float("nan")
    part_low: float = float("nan")
    part_high: float = float("nan")

    def __str__(self) -> str:
        """The share and its interval in percent."""
        return _with_interval(max(self.value, 0), self.low, self.high)


def shares(tables: Tables) -> dict[str, Share]:
    """Shares of the variance of all scores, by what they come from, in words."""
    members = tables["trained.members"]
    scores = members.assign(score=counted_scores(members)).pivot_table(
        index=list(FACTORS), columns="seed", values="score"
    )
    whole = scores.dropna(axis="columns")
    levels = np.column_stack([pd.factorize(whole.index.get_level_values(name))[0] for name in FACTORS])
    found = divide_variance(whole.to_numpy(float), levels.astype(np.int64), rng=np.random.default_rng(0))
    if found is None:
        return {}
    words = list(FACTORS.values())
    named = {}
    for source, ends in found.shares.items():
        if isinstance(source, tuple):
            parts = found.shares[f"{TOTAL}{source[0]}"] if len(source) == 1 else ()
            named[" × ".join(words[place] for place in source)] = Share(*map(float, (*ends, *parts)))
        elif source in (SEED, HIGHER):
            named["seed" if source == SEED else "all three together"] = Share(*map(float, ends))
    return dict(sorted(named.items(), key=lambda item: -item[1].value))


def _part(share: Share) -> str:
    return _with_interval(share.part, share.part_low, share.part_high)


def _with_interval(value: float, low: float, high: float) -> str:
    """A share in percent, and its interval where there are seeds enough for one."""
    interval = f" [{in_percent(low)}, {in_percent(high)}]" if math.isfinite(low) else ""
    return f"{in_percent(value)}{interval}"


def judge(tables: Tables) -> Finding:
    """It interacts if that share counts; it is one among others if another takes part in more."""
    found = shares(tables)
    members = tables["trained.members"]
    networks = int(members.groupby("job")["seed"].nunique().min())
    certainty = f"{networks} networks of each of {members['job'].nunique()} combinations; 95 % intervals over seeds."
    if not found:
        return Finding("undecided", ["All networks score the same."], certainty, "there is no variance to divide")
    own, together, rate = found["initializer"], found[TOGETHER], found["learning rate"]
    seen = [
        f"By itself the learning rate explains {rate} of the variance, the activation {found['activation']}, the "
        f"initializer {own}, and the seed {found['seed']}.",
        f"The initializer and the learning rate together explain a further {together}.",
        f"With all its interactions the initializer takes part in {_part(own)}, the learning rate in {_part(rate)}.",
    ]
    others = [found[name] for name in ("learning rate", "activation")]
    counts, outdone = own.part_low >= ENOUGH, any(other.part_low > own.part_high for other in others)
    if together.high < ENOUGH or own.part_high < ENOUGH:
        return Finding("does not hold", seen, certainty, f"what they do together is less than {in_percent(ENOUGH)}")
    if together.low >= ENOUGH and counts and outdone:
        return Finding("holds", seen, certainty)
    if together.low >= ENOUGH and all(other.part_high < own.part_low for other in others):
        where = "nothing is said of its weight: it interacts, but matters more than any other choice here"
        return Finding("holds only where", seen, certainty, where)
    return Finding("undecided", seen, certainty, "the intervals of these shares overlap")


def draw(tables: Tables) -> Figure:
    """The shares as bars, the greatest on top."""
    found = shares(tables)
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for place, (name, share) in enumerate(found.items()):
        color = GREY if name == "seed" else BLUE if name in FACTORS.values() else ORANGE
        if share.part == share.part:
            axes.barh(place, share.part, color=BLUE, alpha=0.25, linewidth=0, height=0.72)
        axes.barh(place, max(share.value, 0.0), color=color, height=0.72)
        ends = [[max(share.value - share.low, 0.0)], [max(share.high - share.value, 0.0)]]
        axes.errorbar(share.value, place, xerr=ends, fmt="none", ecolor=ink(), elinewidth=1, capsize=2.5)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("share of the variance of test accuracy (whisker: 95 % interval)")
    axes.grid(axis="x", alpha=0.25)
    handles = [
        Patch(color=BLUE, label="by itself"),
        Patch(color=BLUE, alpha=0.25, linewidth=0, label="takes part in"),
        Patch(color=ORANGE, label="interaction"),
        Patch(color=GREY, label="seed"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return figure
