"""With ReLU, zero initialization is fine?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import lines_by_epoch
from initlab.lessons.reading import Units, distinct_units, pair_of


def judge(tables: Tables) -> Finding:
    """The claim falls if zeros keep one distinct unit, and are worse than He."""
    signal, members = tables["trained.signal"], tables["trained.members"]
    zeros, he = (distinct_units(signal, init=name) for name in ("zeros", "he_normal"))
    scores = members[members["init"] == "zeros"]["test_score"].fillna(0)
    still = signal[signal["init"] == "zeros"]["weight_norm_max"].max() == 0
    pair = pair_of(tables["trained.pairs"], "he_normal", "zeros")
    seen = [
        f"In the networks from zeros {_copies(zeros)}, at the start and in every later epoch. From He's weights "
        f"{'all' if he.smallest == he.units else f'at least {he.smallest:g} of'} {he.units} respond differently.",
        f"From zeros the mean test accuracy is {scores.mean():.3f}, and no network has more than {scores.max():.3f}"
        + (": no weight ever moved, so that each of them always answers the same class." if still else "."),
        f"Test accuracy from He's weights minus that from zeros: {pair.difference:+.3f} [{pair.low:+.3f}, "
        f"{pair.high:+.3f}], {pair.verdict}.",
    ]
    certainty = f"{zeros.networks} networks of each kind; the interval is at the 95 % level."
    if zeros.largest == 1 and pair.verdict == "better":
        return Finding("does not hold", seen, certainty, "the units stay copies of each other, whatever ReLU zeroes")
    if zeros.largest > 1 and pair.verdict in ("equivalent", "worse"):
        return Finding("holds", seen, certainty)
    return Finding("undecided", seen, certainty, "units and accuracy do not say the same")


def _copies(found: Units) -> str:
    if found.largest == 1:
        return f"all {found.units} units of the first hidden layer are copies of one"
    return f"at most {found.largest:g} of {found.units} units of the first hidden layer respond differently"


def draw(tables: Tables) -> Figure:
    """Distinct units of the first layer against epochs."""
    signal = tables["trained.signal"].replace({"init": {"he_normal": "He's weights"}})
    first = signal[signal["position"] == 1]
    return lines_by_epoch(first, "distinct_units", by="init", label="units that respond differently")
