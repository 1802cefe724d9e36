"""With ReLU, zero initialization is fine?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import lines_by_epoch
from initlab.lessons.reading import distinct_units, pair_of


def judge(tables: Tables) -> Finding:
    """The claim falls if zeros keep one distinct unit, and are worse than He."""
    zeros, he = (distinct_units(tables["trained.signal"], init=name) for name in ("zeros", "he_normal"))
    pair = pair_of(tables["trained.pairs"], "he_normal", "zeros")
    seen = [
        f"In the networks from zeros the {zeros.units} units of the first hidden layer are worth {zeros.largest:g}, at "
        f"the start and in every later epoch, as the others are copies. From He's weights they are worth at least "
        f"{he.smallest:g}.",
        f"Test accuracy: {pair.words}.",
    ]
    certainty = f"{zeros.networks} networks of each kind; the interval is at the 95 % level."
    if zeros.largest == 1 and pair.verdict == "better":
        return Finding("does not hold", seen, certainty, "the units stay copies of each other, whatever ReLU zeroes")
    if zeros.largest > 1 and pair.verdict in ("equivalent", "worse"):
        return Finding("holds", seen, certainty)
    return Finding("undecided", seen, certainty, "units and accuracy do not say the same")


def draw(tables: Tables) -> Figure:
    """Distinct units of the first layer against epochs."""
    signal = tables["trained.signal"]
    first = signal[signal["position"] == 1]
    return lines_by_epoch(first, "distinct_units", by="init", label="units that respond differently")
