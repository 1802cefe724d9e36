"""What other axes and other data sets say."""

import numpy as np
import pandas as pd

from initlab.errors import counted
from initlab.figures.critical_difference import critical_difference_diagram
from initlab.figures.heat import heat_map
from initlab.formats import listed, p_words
from initlab.reporting.document import Paragraph, Picture, Section, Table
from initlab.results.analysis import Analysis
from initlab.results.heat import heat_maps


def heat_section(analysis: Analysis, axis: str) -> Section | None:
    """Candidates against the values of another axis."""
    found = next((found for found in heat_maps(analysis) if found.axis == axis), None)
    if found is None:
        return None
    rest = f"; mean over {listed(list(found.averaged))}" if found.averaged else ""
    at_best = ", each at its best learning rate" if analysis.axes.tuned else ""
    caption = f"Mean test score by candidate and {axis}{at_best}{rest}. A diverged network counts as 0."
    wide = pd.concat(dict(found.scores), names=["data"]).reset_index()
    data = wide.melt(["data", "candidate"], var_name=axis, value_name="test")
    shown = wide.map(lambda value: f"{value:.3f}" if isinstance(value, float) else str(value))
    name = "".join(letter if letter.isalnum() else "_" for letter in axis)
    return Section(
        f"Candidate × {axis}",
        [
            Picture(f"heat_{name}", caption, heat_map(found)),
            Table(f"heat_{name}", caption, data, shown, folded=True),
        ],
    )


def ranks_section(analysis: Analysis) -> Section | None:
    """Ranks across data sets."""
    ranks = analysis.ranks
    if ranks is None:
        return None
    order = np.argsort(ranks.mean, kind="stable")
    data = pd.DataFrame({"candidate": np.array(analysis.ranked)[order], "mean_rank": ranks.mean[order]})
    shown = pd.DataFrame({"candidate": data["candidate"], "mean rank": [f"{rank:.2f}" for rank in data["mean_rank"]]})
    f = f"{ranks.iman_davenport:.2f}" if np.isfinite(ranks.iman_davenport) else "∞"
    tests = (
        f"Friedman χ² = {ranks.friedman:.2f} ({p_words(ranks.friedman_p)}; by permutation "
        f"{p_words(ranks.permutation_p)}), "
        f"Iman and Davenport F = {f} ({p_words(ranks.iman_davenport_p)}), Nemenyi's critical difference at 5 %: "
        f"{ranks.critical_difference:.2f}. The samples are the {ranks.data_sets} data sets, not the seeds."
    )
    if ranks.data_sets < 6:
        tests += " The laws of χ² and F are rough for so few; the permutation is not."
    within = f" Over {listed(list(analysis.axes.conditions))}, ranks were averaged." if analysis.axes.conditions else ""
    missing = len(analysis.by_overall_rank) - len(analysis.ranked)
    absent = f" {counted(missing, 'candidate')} not on all data sets left out." if missing else ""
    return Section(
        "Across data sets",
        [
            Picture(
                "critical_difference",
                "Mean ranks, 1 the best." + within + absent,
                critical_difference_diagram(analysis),
            ),
            Paragraph(tests),
            Table("ranks", "Mean ranks over data sets.", data, shown, folded=True),
        ],
    )
