"""A pretrained start beats any random one?"""

import math
from collections.abc import Mapping
from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import points_of_networks
from initlab.lessons.rates import Row
from initlab.lessons.reading import Pair, named, pair_of
from initlab.lessons.scheme_names import scheme_name

RANDOM: Final = {name: scheme_name(name) for name in ("he_normal", "orthogonal")}
NAMES: Final = {**RANDOM, "pretrained": "pretrained"}
ROWS: Final = 896  # pictures of 5 to 9
VALIDATED: Final = 0.2  # of those that are not tested on


def _rows(test_fraction: float) -> int:
    left = ROWS - math.ceil(ROWS * test_fraction)
    return left - math.ceil(left * VALIDATED)


def judge(tables: Tables) -> Finding:
    """It beats all at a size if it is better than each; it fails where it is equivalent to one, or worse."""
    pairs, members = tables["second.pairs"], tables["second.members"]
    fractions = sorted((float(value) for value in members["data.test_fraction"].unique()), reverse=True)
    found = {
        _rows(fraction): {
            name: pair_of(pairs, "pretrained", name, setting=f"data.test_fraction={fraction:g}") for name in RANDOM
        }
        for fraction in fractions
    }
    verdicts = {rows: {pair.verdict for pair in of_size.values()} for rows, of_size in found.items()}
    beats = [rows for rows, words in verdicts.items() if words == {"better"}]
    fails = any(words & {"equivalent", "worse"} for words in verdicts.values())
    networks = int(members.groupby("job")["seed"].nunique().min())
    certainty = (
        f"{networks} networks of each kind at their best rate; 95 % intervals. All pretrained ones start from the same "
        "weights, the best network of the first task."
    )
    seen = [
        f"With {rows} training rows, pretrained minus "
        + ", and minus ".join(
            f"{RANDOM[name]}: {pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}] ({pair.verdict})"
            for name, pair in of_size.items()
        )
        + "."
        for rows, of_size in found.items()
    ]
    if len(beats) == len(found):
        return Finding("holds", seen, certainty)
    if beats:
        where = f"the second task has {named([f'{rows}' for rows in beats], 'or')} training rows"
        return Finding("holds only where", seen, certainty, where)
    if fails:
        return Finding("does not hold", seen, certainty, _outdone(found))
    return Finding("undecided", seen, certainty, "no size of the second task decides it")


def _outdone(found: Mapping[int, Mapping[str, Pair]]) -> str:
    """That it nowhere beats both; where it is equivalent to both, or else to which it is equivalent or worse."""
    start = f"at none of {len(found)} sizes of the second task is it better than both random starts"
    same = [size for size, of_size in found.items() if {pair.verdict for pair in of_size.values()} == {"equivalent"}]
    if same:
        return f"{start}; with {named([f'{size}' for size in same])} training rows it is equivalent to both"
    told = [
        f"{pair.verdict} {'than' if pair.verdict == 'worse' else 'to'} {RANDOM[name]} with {size} training rows"
        for size, of_size in found.items()
        for name, pair in of_size.items()
        if pair.verdict in ("equivalent", "worse")
    ]
    return f"{start}; it is {named(told)}"


def name_kind(_: str, row: Row) -> str:
    """What a kind of network is called: `He with 35 rows`."""
    return f"{NAMES[row['candidate']]} with {_rows(float(row['data.test_fraction']))} rows"


def draw(tables: Tables) -> Figure:
    """Each network's accuracy on the second task above its number of rows."""
    members = tables["second.members"]
    chosen = members[members["job"].isin(tables["second.candidates"]["job"])]
    rows = chosen.assign(
        rows=[_rows(float(fraction)) for fraction in chosen["data.test_fraction"]],
        start=chosen["init"].map(NAMES),
        test_score=chosen["test_score"].fillna(0.0),
    ).sort_values(["rows", "start"], kind="stable")
    labels = ("training rows of the second task", "test accuracy on 5 to 9")
    return points_of_networks(rows, "rows", "test_score", by="start", labels=labels)
