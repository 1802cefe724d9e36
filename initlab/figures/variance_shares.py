"""How much each factor matters: shares of the variance as bars."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from initlab.figures.looks import COLORS
from initlab.figures.panels import MOST_PANELS, grid_of
from initlab.figures.style import in_lines, literal
from initlab.results.confidence import LEVEL, percent
from initlab.results.variance_shares import VarianceShares
from initlab.tables.schema import METRICS

MOST_BARS = 12
MOST_BARS_BESIDE = 8  # where panels stand beside each other
ACROSS = 2
BLUE, ORANGE, GREY = COLORS[0], COLORS[5], "0.6"
COLOR_OF = {0: GREY, 1: BLUE, 2: ORANGE, 3: ORANGE}  # by how many factors a source has
PALE = 0.25  # opacity of what a factor has part in, behind its own bar


def variance_share_bars(found: Sequence[VarianceShares], *, level: float = LEVEL) -> Figure:
    """Draw the shares of each source of variance with their intervals, a panel a data set.

    Behind the bar of a factor stands, paler, what it takes part in: by itself and in all its interactions.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.variance_shares import variance_share_bars
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> from initlab.results.variance_shares import variance_shares
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> variance_share_bars(variance_shares(analysis)).savefig("variance_shares.png")  # doctest: +SKIP

    Args:
        found: As `variance_shares` returns them, at least one; the first 12 are drawn, each with its factors and the
            greatest other shares, 8 in all; a single one with 12.
        level: Confidence level of their intervals, which is only named.
    """
    drawn = found[:MOST_PANELS]
    most = MOST_BARS if len(drawn) == 1 else MOST_BARS_BESIDE
    bars = max(len(shown_sources(one.sources, most)) for one in drawn)
    size = (5.6 if len(drawn) == 1 else 4.6, 0.7 + 0.27 * bars)
    figure, panels = grid_of(len(drawn), size, beside=(0.2, 0.9), across=ACROSS)
    for one, panel in zip(drawn, panels, strict=True):
        _draw(panel, shown_sources(one.sources, most))
        panel.set_ylim(bars - 0.4, -0.6)  # so that bars are as thick in all panels
        panel.set_title(in_lines(f"{one.data or 'all data sets'}: test {METRICS[one.metric]}", 45), fontsize=10)
    kinds = set(pd.concat([shown_sources(one.sources, most)["factors"] for one in drawn]))
    handles = [
        Patch(color=BLUE, label="a factor by itself"),
        Patch(color=BLUE, alpha=PALE, linewidth=0, label="and with its interactions"),
        *([Patch(color=ORANGE, label="interaction")] if kinds & {2, 3} else []),
        *([Patch(color=GREY, label="seed")] if 0 in kinds else []),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize="small")
    known = any(one.sources["low"].notna().any() for one in drawn)
    whiskers = f" (whisker: {percent(level)} interval)" if known else ""
    figure.supxlabel(f"share of the variance{whiskers}", fontsize=10)
    return figure


def shown_sources(sources: pd.DataFrame, most: int) -> pd.DataFrame:
    """The sources to draw, the greatest first: every factor by itself, as that is asked for, and the greatest others.

    Args:
        sources: As `VarianceShares.sources` has them, the greatest share first.
        most: How many to draw; more where there are more factors.
    """
    own = sources["factors"] == 1
    others = sources[~own].head(max(0, most - int(own.sum())))
    return sources[own | sources.index.isin(others.index)]


def _draw(panel: Axes, rows: pd.DataFrame) -> None:
    """One panel, the greatest share on top."""
    places = np.arange(len(rows))
    shares, low, high, parts = (
        np.clip(rows[name].to_numpy(np.float64), 0.0, 1.0) for name in ("share", "low", "high", "takes_part")
    )
    panel.barh(places, np.nan_to_num(parts), color=BLUE, alpha=PALE, linewidth=0, height=0.72)
    panel.barh(places, shares, color=[COLOR_OF[count] for count in rows["factors"]], height=0.72)
    known = np.isfinite(low)
    ends = np.maximum(np.stack([shares - low, high - shares]), 0.0)  # the share may lie outside its own interval
    panel.errorbar(
        shares[known], places[known], xerr=ends[:, known], fmt="none", ecolor="black", elinewidth=1, capsize=2.5
    )
    panel.set_yticks(places, [literal(str(name)) for name in rows["source"]], fontsize=8)
    panel.set_xlim(0.0, min(1.0, 1.05 * float(np.nanmax([*shares, *high, *parts]))))
    panel.xaxis.set_major_formatter(PercentFormatter(1.0))
    panel.grid(axis="x", alpha=0.25)
    panel.set_axisbelow(True)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right"]].set_visible(False)
