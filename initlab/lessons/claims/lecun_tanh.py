"""LeCun's scaling is made for tanh?"""

from collections.abc import Mapping
from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import differences
from initlab.lessons.reading import Pair, named, pair_of, what_decides
from initlab.results.confidence import MARGIN

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
    if made_for:
        beside = "; ".join(f"at {depth} layers {_beside(by_depth[int(depth)])}" for depth in made_for)
        if len(made_for) == len(found):
            return Finding("holds", seen, certainty, f"LeCun's weights are {beside}")
        if len(made_for) == 1:
            where = f"the net has {made_for[0]} layers: there LeCun's weights are {_beside(by_depth[int(made_for[0])])}"
        else:
            where = f"the net has {named(made_for, 'or')} layers: LeCun's weights are {beside}"
        return Finding("holds only where", seen, certainty, where)
    if any("worse" in verdicts for verdicts in found.values()):
        return Finding("does not hold", seen, certainty, "another start is better")
    return Finding("does not hold", seen, certainty, "none of the starts is better than another")


def _beside(pairs: Mapping[str, Pair]) -> str:
    """Than which starts LeCun's is better, by how much, and how it stands to the others."""
    better = {other: pair.difference for other, pair in pairs.items() if pair.verdict == "better"}
    rest = [f"{TO[pair.verdict]} {other}" for other, pair in pairs.items() if other not in better]
    gains = named([f"{other} ({gain:+.3f})" for other, gain in better.items()])
    little = f", by less than the {MARGIN:g} that matters" if max(better.values()) < MARGIN else ""
    return f"better than {gains}{little}{f', but {named(rest)}' if rest else ''}"


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
    return differences(rows, label="test accuracy: LeCun's weights minus the others")
