"""How a candidate is drawn: one look for it in all figures of a report; and how lines are drawn that lie on others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from initlab.figures.style import literal

# Okabe & Ito 2008; yellow is left out, too light for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LineStyle = Literal["-", "--", "-.", ":"]
LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")
MARKERS = "osD^vP*X"


@dataclass(frozen=True)
class Look:
    """How the lines of one candidate look.

    Attributes:
        color: Any of matplotlib's colours.
        dash: Of its line, where dashes mean nothing else.
        marker: On its line, where dashes mean something else.
    """

    color: str
    dash: LineStyle = "-"
    marker: str = ""


# Neighbours differ in both colour and dash, so that grey print tells them apart; the first seven all differ in
# colour, the first four in dash, too.
LOOKS = tuple(
    Look(
        COLORS[(i + 2 * j) % len(COLORS)],
        LINE_STYLES[(i + j) % len(LINE_STYLES)],
        MARKERS[(i + j * len(COLORS)) % len(MARKERS)],
    )
    for j, i in product(range(len(LINE_STYLES)), range(len(COLORS)))
)
OTHERS = Look("0.75")  # those that are too many to be told apart
# What is compared most has the look of its place, whatever it is compared with.
KNOWN = ("he_normal", "xavier_normal", "normal", "zeros", "lecun_normal", "orthogonal", "torch_default")

WIDER = 2.4  # points: a line below an equal one, for each that lies on it
WIDEST = 9.0
NEAR = 0.004  # of what a panel shows: lines that are nowhere further apart hide each other
MOST_NAMED = 4  # in a remark


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each candidate, whatever their order.

    A scheme of `KNOWN` has the look of its place, and so has a candidate whose name begins with it, as `he_normal,
    depth=8`, if no other claims it. The others get what is left, in the order of their names. Up to 7 candidates all
    differ in colour, and up to 28 in the whole look.

    Example:
        >>> from initlab.figures.looks import looks_of
        >>> looks_of(["zeros", "he_normal"])["he_normal"] == looks_of(["he_normal", "lsuv"])["he_normal"]
        True

    Args:
        names: Of all candidates that a report shows.
    """
    distinct = sorted(set(names))
    places: dict[str, int] = {}
    for name in sorted(distinct, key=lambda name: name not in KNOWN):
        scheme = name.partition(",")[0]
        if scheme in KNOWN and KNOWN.index(scheme) not in places.values():
            places[name] = KNOWN.index(scheme)
    free = [place for place in range(len(LOOKS)) if place not in places.values()]
    others = [name for name in distinct if name not in places]
    places |= {name: (free or range(len(LOOKS)))[k % len(free or LOOKS)] for k, name in enumerate(others)}
    return {name: LOOKS[places[name]] for name in distinct}


def mark_equal(panel: Axes, lines: Mapping[str, Line2D], *, least_span: float, factors: bool = False) -> None:
    """Make lines that hide each other be seen, and name them below the panel.

    Each is wider than the next, which lies on it, and their marks stand beside each other where there is room.

    Args:
        panel: With its label of the x axis, to which the words are added.
        lines: By name, in the order in which they were drawn.
        least_span: What the panel shows at least, from bottom to top: heights, or their logarithms.
        factors: Whether heights are compared by factors, as on a logarithmic axis.
    """
    words = [panel.get_xlabel()]
    for group in _equal(lines, least_span=least_span, factors=factors):
        for place, name in enumerate(group):
            line, every = lines[name], lines[name].get_markevery()
            if isinstance(every, int):
                line.set_markevery((place * every // len(group), every))
            more = min(WIDEST - line.get_linewidth(), WIDER * (len(group) - 1 - place))
            line.set_linewidth(line.get_linewidth() + more)
            line.set_markersize(line.get_markersize() + more)
        more_names = [f"{len(group) - MOST_NAMED} more"] if len(group) > MOST_NAMED else []
        words.append(" = ".join([*map(literal, group[:MOST_NAMED]), *more_names]) + " here")
    panel.set_xlabel("\n".join(filter(None, words)))


def _equal(lines: Mapping[str, Line2D], *, least_span: float, factors: bool) -> list[list[str]]:
    """Names of lines that are equal as far as the panel shows: groups of at least two."""
    points = {name: np.asarray(line.get_xydata(), np.float64) for name, line in lines.items()}
    points = {name: found for name, found in points.items() if np.isfinite(found).all(1).any()}
    if factors:
        points = {name: np.column_stack([found[:, 0], np.log(found[:, 1])]) for name, found in points.items()}
    heights = np.concatenate([found[:, 1] for found in points.values()] or [np.empty(0)])
    heights = heights[np.isfinite(heights)]
    near = NEAR * max(least_span, float(np.ptp(heights)) if len(heights) else 0.0)
    groups: list[list[str]] = []
    for name, found in points.items():
        for group in groups:
            first = points[group[0]]
            if first.shape == found.shape and np.allclose(first, found, rtol=0, atol=near, equal_nan=True):
                group.append(name)
                break
        else:
            groups.append([name])
    return [group for group in groups if len(group) > 1]
