"""Gradient clipping saves a network whose gradients explode?"""

from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import lines_by_rate
from initlab.lessons.rates import Row
from initlab.lessons.reading import named, pair_of

HE: Final = "0.1768"  # √(2/64), his spread at 64 units
SPREADS: Final = {"wide": "0.3", "widest": "0.6"}
CLIPPED, PLAIN = "gradient_clip=1", "gradient_clip=null"


def judge(tables: Tables) -> Finding:
    """Saved is a network that clipping makes better; wholly, if it comes to what He's spread reaches."""
    saved = {key: pair_of(tables[f"{key}.pairs"], CLIPPED, PLAIN) for key in SPREADS}
    beside = {
        key: pair_of(tables["clipped.pairs"], f"init.std={spread}", f"init.std={HE}") for key, spread in SPREADS.items()
    }
    networks = int(tables["clipped.members"].groupby("job")["seed"].nunique().min())
    certainty = (
        f"{networks} networks of each kind at each rate, compared at their best; intervals are at the 95 % level."
    )
    seen = [
        f"From σ = {SPREADS['widest']} and without clipping, {_safe(tables, 'widest', 'null')}; "
        f"with clipping, {_safe(tables, 'widest', '1')}.",
        *(
            f"From σ = {spread}, each at its best rate, test accuracy with clipping is {saved[key].difference:+.3f} "
            f"[{saved[key].low:+.3f}, {saved[key].high:+.3f}] above that without ({saved[key].verdict}), and "
            f"{beside[key].difference:+.3f} [{beside[key].low:+.3f}, {beside[key].high:+.3f}] beside that of "
            f"clipped networks from He's σ ({beside[key].verdict})."
            for key, spread in SPREADS.items()
        ),
    ]
    helped = [spread for key, spread in SPREADS.items() if saved[key].verdict == "better"]
    whole = [key for key in SPREADS if beside[key].verdict in ("equivalent", "better")]
    behind = [key for key in SPREADS if beside[key].verdict == "worse"]
    spreads = named([f"σ = {spread}" for spread in helped]) if helped else ""
    if len(helped) == len(SPREADS) == len(whole):
        return Finding("holds", seen, certainty)
    if helped and len(behind) == len(SPREADS):
        where = (
            f"“saves” means no more than “helps”: clipping helps from {spreads}, but neither σ comes up to what "
            "networks reach from He's"
        )
        return Finding("holds only where", seen, certainty, where)
    if helped and len(whole) == len(behind) == 1:
        where = (
            f"the start is close enough to He's: clipping helps from {spreads}, and of both only "
            f"σ = {SPREADS[whole[0]]} comes up to what networks reach from He's"
        )
        return Finding("holds only where", seen, certainty, where)
    if all(pair.verdict in ("equivalent", "worse") for pair in saved.values()):
        return Finding("does not hold", seen, certainty, "at its best rate a network does as well without it")
    return Finding("undecided", seen, certainty, "some of these differences are not decided")


def name_kind(experiment: str, row: Row) -> str:
    """What a kind of network is called: `σ = 0.3 with clipping`."""
    std = SPREADS.get(experiment) or f"{float(row['init.std']):g}"
    return f"σ = {std} {'without' if row['candidate'] == PLAIN else 'with'} clipping"


def _safe(tables: Tables, key: str, clip: str) -> str:
    members = tables[f"{key}.members"]
    rows = members[members["gradient_clip"].astype(str) == clip]
    lost = (rows["status"] != "finished").groupby(rows["optim.lr"].astype(float)).mean().sort_index()
    if not lost.any():
        return f"no network diverges at any rate up to {max(lost.index):g}"
    first = min(lost.index[lost > 0])
    safe = max(lost.index[lost.index < first], default=None)
    above = "all do" if bool((lost[first:] == 1).all()) else "some do"
    if safe is None:
        return (
            "all networks diverge at every rate" if above == "all do" else "networks diverge at the smallest rate, too"
        )
    return f"no network diverges up to a learning rate of {safe:g}, and {above} at each rate tried above"


def draw(tables: Tables) -> Figure:
    """Accuracy against the learning rate, with clipping and without."""
    parts = {}
    for key, spread in SPREADS.items():
        members = tables[f"{key}.members"]
        for clip, words in (("null", "as it is"), ("1", "clipped")):
            rows = members["gradient_clip"].astype(str) == clip
            parts[f"σ = {spread}, gradient {words}"] = members[rows]
    clipped = tables["clipped.members"]
    parts[f"He's σ = {float(HE):.3f}, gradient clipped"] = clipped[clipped["init.std"].astype(float) == float(HE)]
    return lines_by_rate(parts, label="test accuracy (diverged: 0)")
