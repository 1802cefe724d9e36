"""Uniform or normal: does it make no difference at equal variance?"""

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import differences
from initlab.lessons.reading import pairs_by, place_by_place
from initlab.results.confidence import MARGIN

UNIFORM, NORMAL = "he_uniform", "he_normal"


def judge(tables: Tables) -> Finding:
    """The claim holds where the whole interval of the difference lies within what does not matter."""
    pairs = tables["trained.pairs"]
    found = pairs_by(pairs, UNIFORM, NORMAL)
    same = [data for data, pair in found.items() if pair.low > -MARGIN and pair.high < MARGIN]
    other = [data for data, pair in found.items() if data not in same and pair.verdict in ("better", "worse")]
    unsure = [data for data in found if data not in (*same, *other)]
    told = "; ".join(f"{data} {one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for data, one in found.items())
    widest = max(max(-pair.low, pair.high) for pair in found.values())
    seen = [
        f"Score on test rows from uniform weights minus that from normal ones: {told}.",
        f"So on none of these sets does the distribution move the mean score by more than {widest:.3f}.",
    ]
    certainty = (
        f"{int(pairs['seeds'].min())} networks of each kind on each set, intervals at the 95 % level; a difference of "
        f"less than {MARGIN:g} does not matter."
    )
    answer, where = place_by_place(same, other, unsure, "one of the two is better")
    return Finding(answer, seen, certainty, where)


def draw(tables: Tables) -> Figure:
    """The difference on each data set."""
    found = pairs_by(tables["trained.pairs"], UNIFORM, NORMAL)
    return differences(found, label="score from uniform weights minus score from normal weights")
