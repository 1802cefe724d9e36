"""What verdicts read from tables, in words of the report's own statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from initlab.lessons.finding import Answer
from initlab.lessons.scheme_names import scheme_name
from initlab.results.confidence import percent


@dataclass(frozen=True)
class Pair:
    """How one candidate stands to another.

    Attributes:
        verdict: Of the first: better, worse, equivalent or undecided.
        difference: Of the means of their scores.
        low: Of its interval.
        high: Of its interval.
        words: All that in one phrase.
        seeds_needed: How many networks of each would probably decide it, if undecided; infinite where none would.
    """

    verdict: str
    difference: float
    low: float
    high: float
    words: str
    seeds_needed: float = math.nan


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
            names = f"{scheme_name(one)} minus {scheme_name(other)}"
            words = f"{names} {difference:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}], {verdict}"
            return Pair(verdict, difference, ends[0], ends[1], words, float(values["seeds_needed"]))
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


@dataclass(frozen=True)
class Span:
    """A number over networks.

    Attributes:
        mean: What it is in the mean.
        low: No network has less.
        high: No network has more.
        networks: How many there are.
    """

    mean: float
    low: float
    high: float
    networks: int

    def within(self, low: float, high: float) -> bool:
        """Whether it lies between two numbers in all networks."""
        return low <= self.low and self.high <= high

    def outside(self, low: float, high: float) -> bool:
        """Whether it lies below two numbers in all networks, or above them in all."""
        return self.high < low or high < self.low


def growth(signal: pd.DataFrame, column: str, **where: object) -> Span:
    """The factor by which a column grows from one hidden layer to the next, from the first to the last.

    Args:
        signal: The table `signal` of an experiment.
        column: A positive one, such as `pre_second_moment`; 0 at the end gives 0.
        **where: Columns and the values that they have, such as `init="he_normal"`.
    """
    rows = hidden_layers(signal, **where)
    first, last = rows.iloc[0], rows.iloc[-1]
    steps = int(last["position"] - first["position"])
    mean, low, high = (
        (float(last[column + end]) / float(first[column + start])) ** (1 / steps)
        for end, start in (("", ""), ("_min", "_max"), ("_max", "_min"))
    )
    return Span(mean, low, high, int(rows["networks"].min()))


def hidden_layers(signal: pd.DataFrame, **where: object) -> pd.DataFrame:
    """The rows of the hidden layers before training, first to last; the arguments are those of `growth`."""
    chosen = {"epoch": 0, **where}
    rows = signal[signal[list(chosen)].eq(list(chosen.values())).all(axis=1)]
    return rows[rows["layer"] != "output"].sort_values("position")


def pairs_by_setting(pairs: pd.DataFrame, one: str, other: str) -> dict[str, Pair]:
    """How a candidate stands to another under each setting, by the value that tells settings apart.

    Args:
        pairs: The table `pairs` of an experiment in which one key besides the candidates differs.
        one: Name of the first candidate, as the table has it.
        other: Name of the second.
    """
    return {name.partition("=")[2]: pair for name, pair in pairs_by(pairs, one, other, by="setting").items()}


def what_decides(pairs: Mapping[str, Pair]) -> str:
    """Which pairs are open and what would decide them, to go on after `Undecided at this size: `.

    Args:
        pairs: By a name in words, such as `20 layers`; those that are not undecided are passed over.
    """
    open_pairs = {name: pair.seeds_needed for name, pair in pairs.items() if pair.verdict == "undecided"}
    most = max(open_pairs.values())
    takes = f"it would probably take {most:.0f} networks of each kind" if math.isfinite(most) else "it takes more rows"
    return f"{named(list(open_pairs))} {'is' if len(open_pairs) == 1 else 'are'} open, and {takes}"


def pairs_by(pairs: pd.DataFrame, one: str, other: str, *, by: str = "data") -> dict[str, Pair]:
    """How a candidate stands to another, place by place.

    Args:
        pairs: The table `pairs` of an experiment.
        one: Name of the first candidate, as the table has it.
        other: Name of the second.
        by: The column that tells places apart.
    """
    places = dict.fromkeys(pairs[by].astype(str))
    return {place: pair_of(pairs[pairs[by].astype(str) == place], one, other) for place in places}


def places_with(found: Mapping[str, Pair], *verdicts: str) -> list[str]:
    """The places where a verdict is one of some."""
    return [place for place, pair in found.items() if pair.verdict in verdicts]


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


def place_by_place(holds: Sequence[str], fails: Sequence[str], unsure: Sequence[str], why: str) -> tuple[Answer, str]:
    """What becomes of a claim that holds in some places, such as data sets, and not in others.

    Args:
        holds: The places where it does.
        fails: Those where it does not.
        unsure: Those where that is open.
        why: What is the case where it does not hold, such as `random biases are better`.

    Returns:
        The answer, and the condition or what is open, as in a `Finding`.
    """
    if unsure and not fails:
        return "undecided", f"on {named(unsure)} the interval is too wide"
    if not fails:
        return "holds", ""
    if not holds:
        return "does not hold", f"on {named(fails)} {why}"
    still = f", and open on {named(unsure)}" if unsure else ""
    return "holds only where", f"the data are {named(holds, 'or')}; on {named(fails)} {why}{still}"


def in_percent(share: float) -> str:
    """A share in whole percent, as in `95 %`."""
    return percent(round(share, 2))
