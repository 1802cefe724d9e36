"""Some initialization schemes cost more than others?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from initlab.figures.style import ink, literal
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.reading import named
from initlab.lessons.scheme_names import scheme_name

USUAL: Final = "he_normal"
FACTOR: Final = 3  # a smaller one may be the machine's
KINDS: Final = {
    "draw": ("zeros", "he_normal", "xavier_uniform", "orthogonal"),
    "look at rows of data": ("lsuv", "data_dependent"),
    "take steps of their own": ("gradinit", "metainit"),
}
COLORS: Final = dict(zip(KINDS, ("#0072B2", "#009E73", "#D55E00"), strict=True))


@dataclass(frozen=True)
class Cost:
    """Processor seconds that a scheme takes for one network: the median, the least and the most of all networks."""

    median: float
    low: float
    high: float

    def over(self, other: "Cost") -> bool:
        """Whether it is far above another in all networks."""
        return self.low > FACTOR * other.high


def costs(tables: Tables) -> Mapping[str, Cost]:
    """What each scheme costs, the cheapest first."""
    seconds = tables["filled.seconds"].groupby("init")["seconds"].agg(["median", "min", "max"]).sort_values("median")
    return {str(name): Cost(*map(float, row)) for name, row in zip(seconds.index, seconds.to_numpy(), strict=True)}


def epoch(tables: Tables) -> float:
    """Seconds of one epoch of training one network."""
    members = tables["trained.members"]
    return float((members["seconds"] / members["epochs"]).median())


def judge(tables: Tables) -> Finding:
    """It holds if a scheme costs far more than He's draw in all networks, and falls if none costs far more than any."""
    found, one_epoch = costs(tables), epoch(tables)
    usual, dearest = found[USUAL], list(found)[-1]
    far = [name for name, cost in found.items() if cost.over(usual)]
    seen = [
        f"Filling one network by {scheme_name(USUAL)} takes {_time(usual.median)}; an epoch of training takes "
        f"{_time(one_epoch)}.",
        *(_sentence(kind, found, usual, one_epoch) for kind in KINDS),
    ]
    spread = max(cost.high / cost.low for cost in found.values())
    networks = int(tables["filled.seconds"].groupby("init")["seed"].nunique().min())
    certainty = (
        f"{networks} networks of each scheme; the slowest of a scheme took at most {spread:.1f} times as long as the "
        f"fastest. A scheme counts as dearer where its fastest took more than {FACTOR} times as long as the other's "
        "slowest."
    )
    if far:
        takes = f"{scheme_name(dearest)} takes {_times(found[dearest], usual)} times as long as {scheme_name(USUAL)}"
        where = f"{takes}, or {_epochs(found[dearest].median, one_epoch)} of training"
        return Finding("holds", seen, certainty, where)
    if max(cost.high for cost in found.values()) < FACTOR * min(cost.low for cost in found.values()):
        return Finding("does not hold", seen, certainty, f"all are within a factor of {FACTOR}")
    where = f"none is {FACTOR} times as dear as {scheme_name(USUAL)} in all networks"
    return Finding("undecided", seen, certainty, where)


def _sentence(kind: str, found: Mapping[str, Cost], usual: Cost, one_epoch: float) -> str:
    names = [name for name in found if name in KINDS[kind] and name != USUAL]
    first, *others = names
    parts = [f"{scheme_name(first)} takes {_times(found[first], usual)} times as long as {scheme_name(USUAL)}"]
    parts += [f"{scheme_name(name)} {_times(found[name], usual)}" for name in others]
    longest = _epochs(max(found[name].median for name in names), one_epoch)
    return f"Of the schemes that {kind}, {named(parts)}: up to {longest}."


def _times(cost: Cost, usual: Cost) -> str:
    return f"{float(f'{cost.median / usual.median:.2g}'):,g}"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.2g} ms" if seconds < 1 else f"{seconds:.2g} s"


def _epochs(seconds: float, one_epoch: float) -> str:
    share = float(f"{seconds / one_epoch:.2g}")
    return f"{share:g} of an epoch" if share < 1 else f"{share:,g} epochs"


def draw(tables: Tables) -> Figure:
    """What each scheme costs, beside an epoch."""
    found, one_epoch = costs(tables), epoch(tables)
    figure = Figure(figsize=(6.4, 1.5 + 0.3 * len(found)), layout="constrained")
    axes = figure.add_subplot()
    for kind, names in KINDS.items():
        places = [place for place, name in enumerate(found) if name in names]
        each = [cost for name, cost in found.items() if name in names]
        axes.hlines(places, [cost.low for cost in each], [cost.high for cost in each], color=COLORS[kind], linewidth=2)
        axes.plot([cost.median for cost in each], places, "o", color=COLORS[kind], label=f"schemes that {kind}")
    axes.axvline(one_epoch, color=ink(), linestyle=":", linewidth=1, label="an epoch of training")
    axes.set_xscale("log")
    axes.set_yticks(range(len(found)), [literal(scheme_name(name)) for name in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("seconds to fill one network, logarithmic")
    axes.grid(alpha=0.25, axis="x")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure
