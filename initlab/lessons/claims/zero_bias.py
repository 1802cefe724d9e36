"""Biases may start at zero?"""

from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import differences
from initlab.lessons.rates import Row
from initlab.lessons.reading import pairs_by, place_by_place, places_with
from initlab.results.confidence import MARGIN

ZERO, RANDOM = "init.bias=0", "init.bias=torch_default"
NAMES: Final = {ZERO: "zero biases", RANDOM: "random biases"}


def judge(tables: Tables) -> Finding:
    """The claim holds for data on which zero biases surely lose less than what matters."""
    pairs = tables["trained.pairs"]
    found = pairs_by(pairs, ZERO, RANDOM)
    fine = [data for data, pair in found.items() if pair.low > -MARGIN]
    lost = [data for data in places_with(found, "worse") if data not in fine]
    unsure = [data for data in found if data not in (*fine, *lost)]
    candidates = tables["trained.candidates"]
    scores = candidates.set_index(["data", "candidate"])["score"]
    told = "; ".join(
        f"{data} {pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]" for data, pair in found.items()
    )
    seen = [f"Score on test rows with zero biases minus that with random ones: {told}."]
    for data in lost:
        zero, random = scores[data, ZERO], scores[data, RANDOM]
        seen.append(f"On {data} networks reach {zero:.3f} from zero biases and {random:.3f} from random ones.")
    certainty = (
        f"{int(pairs['seeds'].min())} networks of each kind on each set, intervals at the 95 % level; a loss of less "
        f"than {MARGIN:g} does not matter."
    )
    answer, where = place_by_place(fine, lost, unsure, "random biases are better")
    return Finding(answer, seen, certainty, where)


def name_kind(_: str, row: Row) -> str:
    """What a kind of network is called: `zero biases on digits`."""
    return f"{NAMES[row['candidate']]} on {row['data']}"


def draw(tables: Tables) -> Figure:
    """The difference on each data set."""
    found = pairs_by(tables["trained.pairs"], ZERO, RANDOM)
    return differences(found, label="score with zero biases minus score with random biases")
