"""Skip connections make deep networks trainable, whatever they start from?"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.figures.style import ink
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import points_of_networks
from initlab.lessons.rates import Row
from initlab.lessons.reading import named

TRAINED: Final = 0.85  # test accuracy; knowing only the commonest of ten classes gives 0.1
KINDS: Final = {"plain": "plain", "residual": "with skip connections"}
LARGE: Final = "large (σ = 0.4)"
NAMES: Final = {
    "zeros": "zeros",
    "normal": "small (σ = 0.05)",
    "xavier_normal": "Xavier",
    "he_normal": "He",
    "fixup": "Fixup",
}
STARTS: Final = ("zeros", "small (σ = 0.05)", "Xavier", "He", LARGE, "Fixup")


def chosen_networks(tables: Tables) -> pd.DataFrame:
    """All networks at the best rate of their kind: columns kind, start, test_score (of a diverged one 0)."""
    parts = []
    for key, kind in KINDS.items():
        for name in (key, f"{key}_large"):
            members = tables[f"{name}.members"]
            rows = members[members["job"].isin(tables[f"{name}.candidates"]["job"])]
            start = rows["init"].map(NAMES) if name == key else LARGE
            parts.append(rows.assign(kind=kind, start=start, test_score=rows["test_score"].fillna(0.0)))
    return pd.concat(parts).sort_values("start", key=lambda start: start.map(STARTS.index), kind="stable")


def judge(tables: Tables) -> Finding:
    """A start is trainable in a kind of network if the interval of the mean accuracy lies above the mark."""
    plain, skipping = (_states(tables, key) for key in KINDS)
    trains, fails, left_open = (
        [start for start, state in skipping.items() if state == wanted] for wanted in ("trains", "fails", "open")
    )
    without = [start for start, state in plain.items() if state == "trains"]
    gained = [start for start in trains if plain.get(start) == "fails"]
    networks = chosen_networks(tables)
    count = int(networks.groupby(["kind", "start"])["seed"].nunique().min())
    certainty = f"{count} networks of each kind, at the rate that is best on validation rows; 95 % intervals."
    means = networks[networks["kind"] == KINDS["residual"]].groupby("start")["test_score"].mean()
    lost = {start for start, row in _candidates(tables, "residual") if row["diverged"] == row["seeds"]}
    told = [f"{means[start]:.2f}{' (all diverged)' if start in lost else ''} from {start}" for start in fails]
    seen = [
        f"Without skip connections, networks come to a mean accuracy of {TRAINED:g} from {_list(without)}; "
        f"with them, from {_list(trains)}.",
        *([f"Even with skip connections, networks stay below it: the mean is {_list(told)}."] if fails else []),
        *([f"From {_list(left_open)} it is open."] if left_open else []),
    ]
    if gained and len(trains) == len(skipping):
        return Finding("holds", seen, certainty)
    if gained and not left_open:
        where = (
            f"the start is {_list(trains, 'or')}; from {_list(fails)} networks stay below {TRAINED:g} within "
            f"{int(networks['epochs'].max())} epochs even with skip connections"
        )
        return Finding("holds only where", seen, certainty, where)
    if not trains and not left_open:
        return Finding("does not hold", seen, certainty, "no start is trainable with them")
    return Finding(
        "undecided", seen, certainty, "accuracies lie too close to the mark, or plain networks train as well"
    )


def name_kind(experiment: str, row: Row) -> str:
    """What a kind of network is called: `He with skip connections`."""
    start = LARGE if experiment.endswith("_large") else NAMES[row["init"]]
    return f"{start} {'with' if experiment.startswith('residual') else 'without'} skip connections"


def _states(tables: Tables, key: str) -> dict[str, str]:
    """By start, whether it trains or fails, or that is open."""
    found = {}
    for start, row in _candidates(tables, key):
        if row["diverged"] == 0 and row["score_low"] >= TRAINED:
            found[start] = "trains"
        elif row["diverged"] == row["seeds"] or row["score_high"] < TRAINED:
            found[start] = "fails"
        else:
            found[start] = "open"
    return {start: found[start] for start in STARTS if start in found}


def _candidates(tables: Tables, key: str) -> Iterator[tuple[str, Mapping[Hashable, Any]]]:
    for name in (key, f"{key}_large"):
        for row in tables[f"{name}.candidates"].to_dict("records"):
            yield NAMES[str(row["init"])] if name == key else LARGE, row


def _list(starts: list[str], last: str = "and") -> str:
    return named(starts, last) if starts else "no start"


def draw(tables: Tables) -> Figure:
    """Each network's accuracy above its start."""
    figure = points_of_networks(
        chosen_networks(tables), "start", "test_score", by="kind", labels=("start", "test accuracy (diverged: 0)")
    )
    (axes,) = figure.axes
    axes.axhline(TRAINED, color=ink(), linestyle=":", linewidth=1)
    axes.tick_params(axis="x", labelsize="small")
    return figure
