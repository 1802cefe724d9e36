"""Performance profiles: on which share of seeds, or data sets, a candidate is how near the best."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

from initlab.base.wording import counted, shortest
from initlab.figures.looks import OTHERS, mark_equal
from initlab.figures.panels import MOST_PANELS, add_legend, grid_of, styles
from initlab.figures.style import in_lines
from initlab.results.analysis import Analysis
from initlab.results.confidence import percent
from initlab.results.profiles import Profile

DISTANCES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # marked at the axis
LEAST_SHOWN = 0.02  # of the distances: what is nearer is about equal
LEAST_FACTOR = 2.0
BAND = 0.13  # opacity
MOST_BANDS = 5  # candidates: the bands of more hide each other


def score_profile(analysis: Analysis, profiles: Sequence[Profile]) -> Figure:
    """Draw the share of seeds, or data sets, on which each candidate is within a distance of the best score.

    The axis is stretched near 0, by the square root, so that one scheme that fails leaves room for the others.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.profiles import score_profile
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.profiles import score_profiles
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> score_profile(analysis, score_profiles(analysis)).savefig("score_profile.png")  # doctest: +SKIP

    Args:
        analysis: Whose candidates these are.
        profiles: As `score_profiles` returns them, at least one; the first 12 are drawn.
    """
    end = max(LEAST_SHOWN, *(float(profile.within[-1]) for profile in profiles[:MOST_PANELS]))
    figure, panels = _figure(analysis, profiles, end * 1.05)
    for panel in panels:
        panel.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0.0)), np.square))
        panel.set_xlim(0.0, end * 1.05)
        panel.set_xticks([mark for mark in DISTANCES if mark <= end * 1.05])
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shortest(float(f"{value:.3g}"))))
        panel.xaxis.set_minor_locator(NullLocator())
    figure.supxlabel(f"test score below the best by at most{_band_words(analysis)}", fontsize=10)
    return figure


def time_profile(analysis: Analysis, profiles: Sequence[Profile]) -> Figure:
    """Draw the share of seeds, or data sets, on which each candidate is within a factor of the fastest's epochs.

    Example:
        >>> from pathlib import Path
        >>> from initlab.figures.profiles import time_profile
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.profiles import time_profiles
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> time_profile(analysis, time_profiles(analysis)).savefig("time_profile.png")  # doctest: +SKIP

    Args:
        analysis: Whose candidates these are.
        profiles: As `time_profiles` returns them, at least one; the first 12 are drawn.
    """
    end = max(LEAST_FACTOR, *(float(profile.within[-1]) for profile in profiles[:MOST_PANELS]))
    figure, panels = _figure(analysis, profiles, end * 1.1)
    for panel in panels:
        panel.set_xscale("log", base=2)
        panel.set_xlim(0.97, end * 1.1)
        panel.xaxis.set_major_locator(LogLocator(base=2, subs=(1.0, 1.5) if end <= 8 else (1.0,)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        panel.xaxis.set_minor_locator(NullLocator())
    figure.supxlabel(
        f"epochs to the threshold, at most so many times the fastest's{_band_words(analysis)}", fontsize=10
    )
    return figure


def _band_words(analysis: Analysis) -> str:
    return f"\n(band: {percent(analysis.level)} interval)" if len(styles(analysis)) <= MOST_BANDS else ""


def _figure(analysis: Analysis, profiles: Sequence[Profile], end: float) -> tuple[Figure, list[Axes]]:
    """A panel for each profile, with its steps up to the end of the axis, and a legend."""
    drawn = profiles[:MOST_PANELS]
    scale = 1.6 if len(drawn) == 1 else 1.0
    figure, panels = grid_of(len(drawn), (scale * 3.3, scale * 2.6), beside=(1.6, 0.4))
    looks = styles(analysis)
    for profile, panel in zip(drawn, panels, strict=True):
        within = np.append(profile.within, end)
        lines: dict[str, Line2D] = {}
        for place, name in enumerate(profile.names):
            look = looks.get(name, OTHERS)
            share, low, high = (
                np.append(line[place], line[place, -1]) for line in (profile.shares, profile.low, profile.high)
            )
            width, order = (1.8, 2.0) if name in looks else (0.8, 1.0)
            (line,) = panel.step(
                within, share, where="post", color=look.color, linestyle=look.dash, linewidth=width, zorder=order,
                label=name,
            )  # fmt: skip
            if name in looks:
                lines[name] = line
                if len(looks) <= MOST_BANDS:
                    panel.fill_between(within, low, high, step="post", color=look.color, alpha=BAND, linewidth=0)
        mark_equal(panel, lines, least_span=1.0)
        panel.set_ylim(-0.03, 1.03)
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        what = counted(profile.samples, "data set" if profile.of_data_sets else "seed")
        panel.set_ylabel(f"share of {what}", fontsize=9)
        panel.set_title(in_lines(profile.title or "across data sets"), fontsize=10)
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    add_legend(figure, analysis)
    return figure, panels
