"""LeCun's scaling is made for tanh?"""

from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import differences
from initlab.lessons.reading import Pair, named, pair_of, what_decides

OTHERS: Final = {"xavier_normal": "Xavier's", "he_normal": "He's", "mean_field": "the edge of chaos"}
TO: Final = {
    "better": "better than",
    "worse": "worse than",
    "equivalent": "equivalent to",
    "undecided": "undecided beside",
}


def judge(tables: Tables) -> Finding:
    """The claim holds at depths where LeCun's weights are better than others, and none is better than they."""
    by_depth = _pairs(tables)
    seen = [
        f"At {depth} layers LeCun's weights are "
        + named([f"{TO[pair.verdict]} {other} ({pair.difference:+.3f})" for other, pair in pairs.items()])
        + "."
        for depth, pairs in by_depth.items()
    ]
    seeds = int(tables["trained.pairs"]["seeds"].min())
    certainty = (
        f"{seeds} networks of each kind, each start at its best learning rate; in brackets the difference of test "
        "accuracy. Verdicts are at the 95 % level."
    )
    still = {f"{depth} layers ({other})": pair for depth, pairs in by_depth.items() for other, pair in pairs.items()}
    found = {depth: {pair.verdict for pair in pairs.values()} for depth, pairs in by_depth.items()}
    if any("undecided" in verdicts for verdicts in found.values()):
        return Finding("undecided", seen, certainty, what_decides(still))
    made_for = [str(depth) for depth, verdicts in found.items() if "better" in verdicts and "worse" not in verdicts]
    if len(made_for) == len(found):
        return Finding("holds", seen, certainty)
    if made_for:
        where = f"the net has {named(made_for)} layers; elsewhere they are no better than any other, or worse"
        return Finding("holds only where", seen, certainty, where)
    if any("worse" in verdicts for verdicts in found.values()):
        return Finding("does not hold", seen, certainty, "another start is better")
    return Finding("does not hold", seen, certainty, "none of the starts is better than another")


def _pairs(tables: Tables) -> dict[int, dict[str, Pair]]:
    """By depth and the other start, LeCun beside it."""
    pairs = tables["trained.pairs"]
    settings = {int(name.partition("=")[2]): name for name in pairs["setting"].astype(str)}
    return {
        depth: {
            words: pair_of(pairs, "lecun_normal", other, setting=settings[depth]) for other, words in OTHERS.items()
        }
        for depth in sorted(settings)
    }


def draw(tables: Tables) -> Figure:
    """Differences of the scores at each depth."""
    rows = {
        f"{depth} layers ({other})": pair for depth, pairs in _pairs(tables).items() for other, pair in pairs.items()
    }
    return differences(rows, label="test accuracy: LeCun's weights less the others")
