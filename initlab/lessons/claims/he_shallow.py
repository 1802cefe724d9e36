"""He beats Xavier on the shallow nets of tutorials, too?"""

from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import differences
from initlab.lessons.reading import Pair, named, pairs_by_setting, what_decides

PROBLEMS: Final = {"wine": "wine quality", "digits": "digits"}


def judge(tables: Tables) -> Finding:
    """The claim holds where the report calls He better; it falls if that is so on none, and the opposite on some."""
    pairs = _pairs(tables)
    seen = [
        f"Test accuracy from He's weights minus that from Xavier's is {pair.difference:+.3f} [{pair.low:+.3f}, "
        f"{pair.high:+.3f}] with {net}: {pair.verdict}."
        for net, pair in pairs.items()
    ]
    seeds = min(int(tables[f"{key}.pairs"]["seeds"].min()) for key in PROBLEMS)
    certainty = f"{seeds} networks of each kind; intervals are at the 95 % level, each start at its best learning rate."
    better = [net for net, pair in pairs.items() if pair.verdict == "better"]
    refuted = [net for net, pair in pairs.items() if pair.verdict in ("equivalent", "worse")]
    if len(better) == len(pairs):
        return Finding("holds", seen, certainty)
    if refuted and not better:
        nets = {
            verdict: [net for net, pair in pairs.items() if pair.verdict == verdict]
            for verdict in ("worse", "equivalent", "undecided")
        }
        found = ", ".join(f"{verdict} with {named(those)}" for verdict, those in nets.items() if those)
        where = f"He's weights are called better on none of these nets, but {found}"
        return Finding("does not hold", seen, certainty, where)
    if len(better) + len(refuted) < len(pairs):
        return Finding("undecided", seen, certainty, what_decides(pairs))
    return Finding("holds only where", seen, certainty, f"the net is that of {named(better)}")


def _pairs(tables: Tables) -> dict[str, Pair]:
    """By the net in words, He beside Xavier."""
    return {
        f"{words} ({depth} layer{'' if depth == '1' else 's'})": pair
        for key, words in PROBLEMS.items()
        for depth, pair in sorted(pairs_by_setting(tables[f"{key}.pairs"], "he_normal", "xavier_normal").items())
    }


def draw(tables: Tables) -> Figure:
    """Differences of the scores on each net."""
    return differences(_pairs(tables), label="test accuracy: He's weights minus Xavier's")
