"""Sections of a report on how the candidates learn: at which rates, how soon, and which networks do not."""

import numpy as np
import pandas as pd

from initlab.base.wording import epochs_text, interval_text, rate_text, settled, shortest
from initlab.figures.learning_rates import learning_rates
from initlab.figures.speed import speed
from initlab.reporting.cells import condition_columns, which_panels, with_level
from initlab.reporting.document import Paragraph, Part, Picture, Section, Table
from initlab.reporting.profiles import time_profile_parts
from initlab.results.analysis import Analysis
from initlab.results.candidates import CONDITION
from initlab.results.confidence import percent


def rates_section(analysis: Analysis) -> Section | None:
    """The section on how much the learning rate matters; None where it was not tuned."""
    if not analysis.axes.tuned or analysis.candidates["rates"].max() < 2:
        return None
    table = analysis.candidates
    shown = condition_columns(analysis, table)
    shown["candidate"] = table["candidate"]
    shown["best rate"] = [
        rate_text(rate) + (" (edge)" if edge else "")
        for rate, edge in zip(table["rate"], table["at_edge"], strict=True)
    ]
    shown["rates tried"] = table["rates"].astype(str)
    shown["within 1 % of the best"] = [
        _range(low, high) for low, high in zip(table["lowest"], table["highest"], strict=True)
    ]
    shown["decades"] = [f"{value:.1f}" if np.isfinite(value) else "—" for value in table["decades"]]
    shown["validation score"] = [f"{settled(value):.3f}" for value in table["validation"]]
    data = analysis.jobs.reset_index()
    caption = (
        "Rates around the best whose mean validation score is within 1 % of its: of those that learn, a wide range "
        "is less work to tune. A diverged network counts as 0."
    )
    return Section(
        "Learning rates",
        [
            Picture(
                "learning_rates",
                f"Sensitivity to the learning rate: mean and {percent(analysis.level)} interval over seeds."
                + which_panels(analysis),
                learning_rates(analysis),
            ),
            Table("learning_rates", caption, data, shown),
        ],
    )


def _range(low: float, high: float) -> str:
    if not np.isfinite(low):
        return "—"
    return rate_text(low) if low == high else f"{rate_text(low)} to {rate_text(high)}"


def speed_section(analysis: Analysis) -> Section:
    """The section on how soon the networks learn."""
    table = analysis.candidates
    shown = condition_columns(analysis, table)
    shown["candidate"] = table["candidate"]
    shown["threshold"] = table["threshold"].map(shortest)
    shown["reached by"] = [f"{hit} of {seeds}" for hit, seeds in zip(table["reached"], table["seeds"], strict=True)]
    columns = zip(table["epochs"], table["epochs_low"], table["epochs_high"], strict=True)
    shown["epochs, median"] = [_epochs_and_interval(*row) for row in columns]
    names = [*CONDITION, "candidate", "threshold", "reached", "seeds"]
    data = table[[*names, "epochs", "epochs_low", "epochs_high"]]
    caption = (
        f"Epochs until the validation score reaches the threshold, with the {percent(analysis.level)} interval of the "
        "median; networks that never do count as later than all."
    )
    parts: list[Part] = [Table("speed", caption, with_level(analysis, data), shown)]
    if table["reached"].any():
        what = "Share of networks that have reached the threshold." + which_panels(analysis)
        parts = [Picture("speed", what, speed(analysis)), *parts, *time_profile_parts(analysis)]
    else:
        parts.insert(0, Paragraph("No network reached the threshold."))
    return Section("Speed", parts)


def _epochs_and_interval(middle: float, low: float, high: float) -> str:
    """The median and its interval, if that says more than the median."""
    if np.isnan(low) or np.isinf([middle, low, high]).all():
        return epochs_text(middle)
    return f"{epochs_text(middle)} [{epochs_text(low)}, {epochs_text(high)}]"


def diverged_section(analysis: Analysis) -> Section | None:
    """The section on which networks diverged, at the chosen learning rates and at all; None where none did."""
    members = analysis.study.members
    lost = (members["status"] == "diverged").groupby(members["job"]).agg(["sum", "size"])
    if not lost["sum"].any():
        return None
    keys = [*CONDITION, "candidate"]
    of_all = analysis.jobs.join(lost).groupby(keys, sort=False)[["sum", "size"]].sum().reset_index()
    table = analysis.candidates.merge(of_all, on=keys)
    table = table[table["sum"] > 0]
    shown = condition_columns(analysis, table)
    shown["candidate"] = table["candidate"]
    columns = zip(table["diverged"], table["seeds"], table["diverged_low"], table["diverged_high"], strict=True)
    at_best = "at the best rate" if analysis.axes.tuned else "diverged"
    shown[at_best] = [
        f"{count} of {seeds}: {interval_text(count / seeds, low, high)}" for count, seeds, low, high in columns
    ]
    if analysis.axes.tuned:
        shown["at all rates"] = [f"{hit} of {size}" for hit, size in zip(table["sum"], table["size"], strict=True)]
    data = table[[*keys, "diverged", "seeds", "diverged_low", "diverged_high"]].assign(
        diverged_at_all_rates=table["sum"], networks_at_all_rates=table["size"]
    )
    caption = f"Networks whose loss stopped being finite, as share with its {percent(analysis.level)} interval."
    return Section("Diverged", [Table("diverged", caption, with_level(analysis, data), shown)])


def failed_section(analysis: Analysis) -> Section | None:
    """The section on the jobs that failed; None where none did."""
    failed = analysis.study.failed
    if not failed:
        return None
    data = pd.DataFrame({"job": list(failed), "reason": list(failed.values())})
    caption = "Jobs that failed; the traceback is in error.txt in each one's folder."
    return Section("Failed", [Table("failed", caption, data, data)])
