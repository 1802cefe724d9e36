"""Do zero weights keep the units of a layer equal, and the network from learning?"""

from dataclasses import dataclass

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import lines_by_epoch
from initlab.lessons.reading import named, pair_of


@dataclass(frozen=True)
class Start:
    """What became of the networks from zeros with one activation.

    Attributes:
        activation: Its name.
        distinct: The most units of a hidden layer that respond differently, in any network at any epoch.
        moved: The largest norm that a layer's weights reach.
        best: The test score of the best network.
        he: The verdict on He's weights against zeros.
        words: The same in numbers.
    """

    activation: str
    distinct: float
    moved: float
    best: float
    he: str
    words: str


def judge(tables: Tables) -> Finding:
    """The claim holds with an activation if units stay copies, and no network beats one that learns biases alone."""
    signal, members = tables["trained.signal"], tables["trained.members"]
    starts = [_start(tables, str(name)) for name in dict.fromkeys(members["activation"])]
    # Networks of which no weight moves always answer the commonest class.
    floor = min((start.best for start in starts if start.moved == 0), default=None)
    holds = [start for start in starts if start.distinct == 1 and start.he == "better" and _no_better(start, floor)]
    fails = [start for start in starts if start.distinct > 1 and start.he in ("equivalent", "worse")]
    seen = [
        _of_units(starts),
        "Test accuracy from He's weights minus that from zeros: "
        + "; ".join(f"{start.activation} {start.words}" for start in starts)
        + ".",
        _of_weights(starts, floor),
    ]
    networks = int(signal["networks"].min())
    certainty = f"{networks} networks of each kind, each at all recorded epochs; intervals are at the 95 % level."
    if len(holds) == len(starts):
        return Finding("holds", seen, certainty, f"with {_listed(starts)}")
    if len(fails) == len(starts):
        return Finding("does not hold", seen, certainty, f"with {_listed(starts)}")
    if holds:
        return Finding("holds only where", seen, certainty, f"the activation is {_listed(holds, 'or')}")
    return Finding("undecided", seen, certainty, "units and accuracy do not say the same")


def draw(tables: Tables) -> Figure:
    """Distinct units of the first layer against epochs, over all activations."""
    signal = tables["trained.signal"].replace({"init": {"he_normal": "He's weights"}})
    grouped = signal[signal["position"] == 1].groupby(["init", "epoch"], sort=False)
    ends = {"distinct_units": "mean", "distinct_units_min": "min", "distinct_units_max": "max"}
    return lines_by_epoch(
        grouped.agg(ends).reset_index(), "distinct_units", by="init", label="units that respond differently"
    )


def _start(tables: Tables, activation: str) -> Start:
    signal, members = tables["trained.signal"], tables["trained.members"]
    zeros = signal[(signal["init"] == "zeros") & (signal["activation"] == activation)]
    hidden = zeros[zeros["position"] < zeros["position"].max()]
    scores = members[(members["init"] == "zeros") & (members["activation"] == activation)]["test_score"]
    pair = pair_of(tables["trained.pairs"], "he_normal", "zeros", setting=activation)
    return Start(
        activation,
        float(hidden["distinct_units_max"].max()),
        float(zeros["weight_norm_max"].max()),
        float(scores.max()),
        pair.verdict,
        f"{pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}], {pair.verdict}",
    )


def _no_better(start: Start, floor: float | None) -> bool:
    return floor is not None and start.best <= floor


def _of_units(starts: list[Start]) -> str:
    counts = {start.distinct for start in starts}
    if counts == {1}:
        return (
            f"From zeros all units of a hidden layer are copies of one, with {_listed(starts)}, in every network, "
            "at the start and at every later epoch."
        )
    each = ", ".join(f"{start.distinct:g} with {start.activation}" for start in starts)
    return f"From zeros the most units of a hidden layer that respond differently are {each}."


def _of_weights(starts: list[Start], floor: float | None) -> str:
    still = [start for start in starts if start.moved == 0]
    moving = [start for start in starts if start.moved > 0]
    if floor is None:
        return f"Weights move with {_listed(starts)}, so none of these networks shows what biases alone can do."
    said = (
        f"With {_listed(still)} no weight moved at all: such a network always answers one class, {floor:.3f} accurate."
    )
    if not moving:
        return said
    best = max(start.best for start in moving)
    reached = f"but no network reaches more than {best:.3f}" if best <= floor else f"and the best reaches {best:.3f}"
    return f"{said} With {_listed(moving)} the weights did move, {reached}."


def _listed(starts: list[Start], last: str = "and") -> str:
    return named([start.activation for start in starts], last)
