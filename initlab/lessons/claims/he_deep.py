"""With ReLU, He beats Xavier, the more the deeper?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Answer, Finding, Tables
from initlab.lessons.pictures import differences
from initlab.lessons.reading import Pair, named, pairs_by_setting


def judge(tables: Tables) -> Finding:
    """The claim holds from the depth on at which He is better, if it is so at all larger ones, and by ever more."""
    pairs = _pairs(tables)
    depths = list(pairs)
    seen = [
        f"At {depth} layers, test accuracy from He's weights minus that from Xavier's is {pair.difference:+.3f} "
        f"[{pair.low:+.3f}, {pair.high:+.3f}]: {pair.verdict}."
        for depth, pair in pairs.items()
    ]
    seeds = int(tables["trained.pairs"]["seeds"].min())
    certainty = f"{seeds} networks of each kind; intervals are at the 95 % level, each start at its best learning rate."
    better = [depth for depth in depths if pairs[depth].verdict == "better"]
    if not better:
        answer: Answer = "undecided" if any(pair.verdict == "undecided" for pair in pairs.values()) else "does not hold"
        return Finding(answer, seen, certainty, "He's weights are called better at no depth")
    if better != depths[-len(better) :]:
        return Finding(
            "undecided", seen, certainty, "He's weights are better at some depths, but not at all larger ones"
        )
    first, last = pairs[better[0]], pairs[better[-1]]
    if len(better) > 1 and last.high < first.low:
        return Finding("does not hold", seen, certainty, "the deeper the net, the less He's weights are better by")
    if len(better) > 1 and last.low <= first.high:
        where = f"He's weights are better at {named([str(depth) for depth in better])} layers, but perhaps not by more"
        return Finding("undecided", seen, certainty, where)
    if better == depths:
        return Finding("holds", seen, certainty)
    others = named([f"{depth} ({pairs[depth].verdict})" for depth in depths if depth not in better])
    where = f"the net is {named([str(depth) for depth in better], 'or')} layers deep: no advantage is seen at {others}"
    return Finding("holds only where", seen, certainty, where)


def _pairs(tables: Tables) -> dict[int, Pair]:
    """By depth, He beside Xavier."""
    found = pairs_by_setting(tables["trained.pairs"], "he_normal", "xavier_normal")
    return {int(value): found[value] for value in sorted(found, key=int)}


def draw(tables: Tables) -> Figure:
    """Differences of the scores at each depth."""
    rows = {f"{depth} layers": pair for depth, pair in _pairs(tables).items()}
    return differences(rows, label="test accuracy: He's weights minus Xavier's")
