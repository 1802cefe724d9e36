"""What verdicts read from tables, in words of the report's own statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Pair:
    """How one candidate stands to another.

    Attributes:
        verdict: Of the first: better, worse, equivalent or undecided.
        difference: Of the means of their scores.
        low: Of its interval.
        high: Of its interval.
        words: All that in one phrase.
    """

    verdict: str
    difference: float
    low: float
    high: float
    words: str


OPPOSITE = {"better": "worse", "worse": "better"}


def pair_of(pairs: pd.DataFrame, one: str, other: str, **where: object) -> Pair:
    """How a candidate stands to another, under a condition if there are several.

    Args:
        pairs: The table `pairs` of an experiment.
        one: Name of the first candidate, as the table has it.
        other: Name of the second.
        **where: Columns and the values that they have, such as `setting="model.depth=20"`.

    Raises:
        KeyError: there is no such pair.
    """
    found = pairs[pairs[list(where)].eq(list(where.values())).all(axis=1)] if where else pairs
    for first, second, sign in ((one, other, 1), (other, one, -1)):
        row = found[(found["a"] == first) & (found["b"] == second)]
        if len(row) == 1:
            values = row.iloc[0]
            ends = sorted((sign * float(values["low"]), sign * float(values["high"])))
            verdict = str(values["verdict"])
            verdict = verdict if sign == 1 else OPPOSITE.get(verdict, verdict)
            difference = sign * float(values["difference"])
            words = f"{one} less {other} {difference:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}], {verdict}"
            return Pair(verdict, difference, ends[0], ends[1], words)
    raise KeyError(f"{one} and {other}: no such pair")


@dataclass(frozen=True)
class Units:
    """How many units of a layer respond differently, over networks and epochs."""

    smallest: float
    largest: float
    units: int
    networks: int


def distinct_units(signal: pd.DataFrame, *, position: int = 1, **where: object) -> Units:
    """Distinct units of a layer in all networks of some jobs, at all epochs.

    Args:
        signal: The table `signal` of an experiment.
        position: Of the layer, 1 for the first.
        **where: Columns and the values that they have, such as `init="zeros"`.
    """
    chosen = {"position": position, **where}
    rows = signal[signal[list(chosen)].eq(list(chosen.values())).all(axis=1)]
    return Units(
        float(rows["distinct_units_min"].min()),
        float(rows["distinct_units_max"].max()),
        int(rows["units"].iloc[0]),
        int(rows["networks"].min()),
    )


def named(names: Sequence[str], last: str = "and") -> str:
    """Names in one phrase: a, b and c.

    Args:
        names: At least one.
        last: The word before the last of them.
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def places_of(pairs: pd.DataFrame, one: str, place: str) -> dict[str, str]:
    """How a candidate stands in each of several places, such as data sets: leads, beaten or open.

    It leads where it is better than each other candidate or equivalent to it, it is beaten where it is worse than one,
    and else it is open.

    Args:
        pairs: Rows of the table `pairs`.
        one: Name of the candidate, as the table has it.
        place: The column that tells places apart.
    """
    found = {}
    for name, rows in pairs.groupby(place, sort=False):
        of_first = rows[rows["a"] == one]["verdict"]
        of_second = rows[rows["b"] == one]["verdict"].map(lambda verdict: OPPOSITE.get(verdict, verdict))
        verdicts = {*of_first, *of_second}
        decided = verdicts <= {"better", "equivalent"}
        found[str(name)] = "beaten" if "worse" in verdicts else "leads" if decided else "open"
    return found
