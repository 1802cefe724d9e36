"""A tutorial's notebook, one run of each scheme, beside the hundred runs that it is one of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.style import ink
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import in_percent, named
from initlab.results.scores import counted_scores

SCHEMES: Final = {"zeros": "zeros", "normal": "normal", "xavier_normal": "Xavier", "he_normal": "He"}
RELIED: Final = 0.95  # of all notebooks, at which one can be relied upon
DOUBTED: Final = 0.9  # below which it cannot


@dataclass(frozen=True)
class Notebook:
    """What one run of each scheme prints, and what all draws of one run of each would.

    Attributes:
        scores: By scheme, those of all networks.
        printed: By scheme, that of the first seed.
        alone: By scheme, the share of draws in which it alone is on top.
    """

    scores: Mapping[str, np.ndarray]
    printed: Mapping[str, float]
    alone: Mapping[str, float]

    @property
    def shared(self) -> float:
        """Share of draws in which several schemes are on top."""
        return max(0.0, 1 - sum(self.alone.values()))

    @property
    def winners(self) -> list[str]:
        """What the first seed's notebook names, several if they print the same."""
        top = max(self.printed.values())
        return [name for name, score in self.printed.items() if score == top]

    def beaten_by(self, name: str) -> float:
        """Share of a scheme's networks that score higher than its network of the first seed."""
        return float((self.scores[name] > self.printed[name]).mean())


def notebook_of(tables: Tables) -> Notebook:
    """The notebook of the first seed, and all that could have been drawn, from the table `trained.members`."""
    members = tables["trained.members"]
    counted = members.assign(score=counted_scores(members).round(9)).sort_values("seed")
    scores = {
        SCHEMES[name]: counted[counted["init"] == name]["score"].to_numpy(float)
        for name in SCHEMES
        if name in set(counted["init"])
    }
    alone = {}
    for name, own in scores.items():
        below = [
            np.searchsorted(np.sort(other), own, "left") / len(other) for key, other in scores.items() if key != name
        ]
        alone[name] = float(np.prod(below, axis=0).mean())
    return Notebook(scores, {name: float(own[0]) for name, own in scores.items()}, alone)


def judge_notebook(tables: Tables) -> Finding:
    """It shows which is best if one scheme is better than all others, and on top in 95 of 100 draws."""
    notebook, pairs = notebook_of(tables), tables["trained.pairs"]
    networks = min(map(len, notebook.scores.values()))
    seed = int(tables["trained.members"]["seed"].min())
    means = {name: float(scores.mean()) for name, scores in notebook.scores.items()}
    best = max(means, key=lambda name: means[name])
    others = _not_worse(pairs, best)
    printed = ", ".join(f"{name} {score:.3f}" for name, score in notebook.printed.items())
    shares = ", ".join(f"{name} {in_percent(share)}" for name, share in notebook.alone.items())
    ranked = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
    seen = [
        f"The notebook with seed {seed} prints {printed}, and so names {named(notebook.winners)}; of {networks} He "
        f"networks {in_percent(notebook.beaten_by('He'))} score higher than its own.",
        f"The means of {networks} networks each are {ranked}: "
        + (f"{best} is better than all others." if not others else f"{best} leads; {_open(others)}."),
        f"How often each is alone on top, of all draws of one run each: {shares}; several share the "
        f"top: {in_percent(notebook.shared)}.",
    ]
    certainty = f"{networks} networks of each scheme; all {networks ** len(means):,} draws are counted. 95 % intervals."
    if max(notebook.alone.values()) < DOUBTED:
        most = in_percent(DOUBTED)
        where = f"no start is named by {most} of all notebooks; with other seeds others would have been named"
        return Finding("does not hold", seen, certainty, where)
    if not others and notebook.alone[best] >= RELIED:
        return Finding("holds", seen, certainty)
    return Finding("undecided", seen, certainty, f"{best} is named in {in_percent(notebook.alone[best])} of the draws")


def _not_worse(pairs: pd.DataFrame, best: str) -> dict[str, str]:
    """The verdicts of those pairs of the best in which it is not better, by the other."""
    found = {}
    for row in pairs.to_dict("records"):
        a, b, verdict = SCHEMES[str(row["a"])], SCHEMES[str(row["b"])], str(row["verdict"])
        if best in (a, b) and verdict != ("better" if a == best else "worse"):
            found[b if a == best else a] = verdict
    return found


def _open(others: Mapping[str, str]) -> str:
    said = []
    for verdict, words in {
        "undecided": "whether it is better than {} is undecided",
        "equivalent": "it is equivalent to {}",
        "worse": "it is worse than {}",
    }.items():
        of_verdict = [name for name, found in others.items() if found == verdict]
        if of_verdict:
            said.append(words.format(named(of_verdict, "or" if verdict == "undecided" else "and")))
    return ", and ".join(said)


def draw_notebook(tables: Tables) -> Figure:
    """A point for each network, and a cross for those of the notebook."""
    notebook = notebook_of(tables)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    rng = np.random.default_rng(0)
    for place, scores in enumerate(notebook.scores.values()):
        beside = place + rng.uniform(-0.28, 0.28, len(scores))
        axes.plot(beside, scores, "o", ms=3.5, alpha=0.5, color="#0072B2", label="" if place else "a network")
        axes.hlines(scores.mean(), place - 0.34, place + 0.34, color=ink(), label="" if place else "mean of all")
    axes.plot(
        range(len(notebook.printed)), list(notebook.printed.values()), "X", ms=9, color="#D55E00", label="the notebook"
    )
    labels = [f"{name}\non top: {in_percent(notebook.alone[name])}" for name in notebook.scores]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_ylabel("test accuracy")
    axes.grid(axis="y", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure
