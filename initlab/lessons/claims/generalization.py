"""Careful initialization generalizes better?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.looks import looks_of
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import Pair, named, pair_of
from initlab.results.confidence import MARGIN

HE: Final = 2.0  # the scale of He's variance
LEARNED: Final = 0.1  # the training loss that all networks of a start have to reach


def starts(tables: Tables) -> pd.DataFrame:
    """A row each scale of the variance, at its best learning rate, with the largest training loss of its networks."""
    rows, members = tables["trained.candidates"], tables["trained.members"]
    lost = members["train_loss"].fillna(float("inf")).groupby(members["job"]).max()
    rows = rows.assign(scale=rows["init.scale"].astype(float), train_loss=rows["job"].map(lost))
    return rows.sort_values("scale").set_index("scale", drop=False)


def judge(tables: Tables) -> Finding:
    """Starts whose networks have all learned their training rows are compared with He's on test rows."""
    rows, pairs = starts(tables), tables["trained.pairs"]
    learned = [float(scale) for scale in rows.index[rows["train_loss"] <= LEARNED]]
    never = [float(scale) for scale in rows.index if scale not in learned]
    careful = str(rows["candidate"][HE])
    found = {scale: pair_of(pairs, careful, rows["candidate"][scale]) for scale in learned if scale != HE}
    scores = ", ".join(f"{rows['score'][scale]:.3f} from {name_of(scale)}" for scale in learned)
    seen = [
        f"Where all networks learned their training rows (to a loss of {LEARNED:g}), test rows score {scores}.",
        "He's variance minus others: "
        + "; ".join(
            f"{scale / HE:g} times {pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}] ({pair.verdict})"
            for scale, pair in found.items()
        )
        + ".",
    ]
    if never:
        seen.append(f"Not all networks learned them from {named([name_of(scale) for scale in never])}.")
    certainty = (
        f"{int(rows['seeds'].min())} networks of each kind, intervals at the 95 % level; a difference of less than "
        f"{MARGIN:g} does not matter."
    )
    if HE not in learned or not found:
        return Finding("undecided", seen, certainty, "too few starts have learned the training rows")
    no_better = [scale for scale, pair in found.items() if pair.high < MARGIN]
    better = [scale for scale, pair in found.items() if pair.verdict == "better" and scale not in no_better]
    unsure = [scale for scale in found if scale not in (*better, *no_better)]
    if len(better) == len(found):
        others = named([f"{name_of(scale)} ({pair.difference:+.3f}{_small(pair)})" for scale, pair in found.items()])
        where = f"on test rows networks from He's variance score higher than those from {others}"
        return Finding("holds", seen, certainty, where)
    if better:
        rest = [f"is no better than {name_of(scale)}" for scale in no_better]
        rest += [f"is undecided beside {name_of(scale)}" for scale in unsure]
        others = named(
            [f"{name_of(scale)} ({found[scale].difference:+.3f}{_small(found[scale])})" for scale in better], "or"
        )
        return Finding("holds only where", seen, certainty, f"the other start has {others}; He's {named(rest)}")
    if not unsure:
        return Finding("does not hold", seen, certainty, "He's variance is better than none of the others")
    return Finding("undecided", seen, certainty, f"beside {named([name_of(scale) for scale in unsure])}")


def _small(pair: Pair) -> str:
    """A remark on a difference that is surely there, and yet too small to matter."""
    return f", less than the {MARGIN:g} that matters" if pair.difference < MARGIN else ""


def name_of(scale: float) -> str:
    """A scale of the variance in words: `10 times He's variance`."""
    return "He's variance" if scale == HE else f"{scale / HE:g} times He's variance"


def draw(tables: Tables) -> Figure:
    """Validation accuracy against training loss, both epoch by epoch."""
    rows, history = starts(tables), tables["trained.history"]
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    looks = looks_of([name_of(scale) for scale in rows.index])
    for scale, job in rows["job"].items():
        lines = history[(history["job"] == job) & (history["epoch"] > 0)].set_index("epoch")
        trained, new = lines[lines["split"] == "train"]["loss"], lines[lines["split"] == "val"]
        new, name = new.loc[trained.index], name_of(float(str(scale)))
        axes.plot(trained, new["score"], color=looks[name].color, linestyle=looks[name].dash, label=name)
        axes.fill_between(trained, new["score_low"], new["score_high"], color=looks[name].color, alpha=0.12, lw=0)
    axes.set_xscale("log")
    axes.set_xlim(3, 2e-4)
    axes.set_ylim(0.7, 1)
    axes.set_xlabel("training loss, falling to the right")
    axes.set_ylabel("accuracy on validation rows")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    return figure
