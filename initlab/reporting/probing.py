"""The report of a probe: what initializers do to signal and gradient before any training."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from initlab.base.errors import UserError
from initlab.base.wording import listed
from initlab.figures.blocks import blocks_by_depth
from initlab.figures.histograms import MOST_ROWS, activation_histograms
from initlab.figures.lags import gradient_by_lag
from initlab.figures.looks import LOOKS, looks_of
from initlab.figures.signal import MOST_SHOWN, signal_by_depth
from initlab.figures.spectrum import jacobian_spectrum
from initlab.propagation.block_words import block_words
from initlab.reporting.document import Paragraph, Part, Picture, Points, Report, Section, Table
from initlab.reporting.repeat import how_to_repeat
from initlab.reporting.sections import MOMENT
from initlab.results.differences import differing_keys, flat_config, label_of
from initlab.results.first_losses import first_loss_line, starts_far
from initlab.results.study import Study
from initlab.tables.schema import describe_columns
from initlab.tables.store import has_results, read_config, read_metadata, read_table

OUTLOOKS = ("trainable", "hard to train", "not trainable")
TABLES = ("signal", "histograms", "spectrum")
SOME_HAVE = ("blocks", "eigenvalues", "lags")  # tables of some networks only
SHOWN = {
    "pre_second_moment": "pre-activation²",
    "predicted_second_moment": "theory",
    "gradient_second_moment": "gradient²",
    "predicted_gradient_second_moment": "theory ",  # two columns of a table cannot have one name
    "correlation": "correlation",
    "predicted_correlation": "theory  ",
    "dead": "dead",
    "saturated": "saturated",
}


@dataclass(frozen=True)
class ProbedJob:
    """What a probe found of one job.

    Attributes:
        name: Name of the job.
        config: Its resolved configuration, as plain data.
        metadata: How it ran; `outlook` and `reason` are the verdict, `unseen` the weights that were not measured,
            `over_time` sentences on how recurrent weights keep a state.
        tables: By name, `signal`, `histograms` and `spectrum`; `blocks` where there is attention, and of a recurrent
            network `eigenvalues` and `lags`.
    """

    name: str
    config: dict[str, Any]
    metadata: dict[str, Any]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def read_probe(folder: Path) -> list[ProbedJob]:
    """The jobs of a probe's folder, in the order of their names; those that cannot be read are left out."""
    found = []
    for path in sorted(folder.glob("*/spectrum.parquet")):
        job = path.parent
        if has_results(job) or (job / "error.txt").exists():
            continue
        try:
            there = [name for name in SOME_HAVE if (job / f"{name}.parquet").exists()]
            tables = {name: read_table(job, name) for name in (*TABLES, *there)}
            found.append(ProbedJob(job.name, read_config(job), read_metadata(job), tables))
        except UserError:  # damaged, or of another version
            continue
    return found


def probe_title(names: Sequence[str], jobs: Sequence[ProbedJob]) -> str:
    """The heading of a probe's report: the probes' names, or what was probed where they are called after a moment.

    Args:
        names: Of the probes' folders.
        jobs: One or more, as `read_probe` returns them.
    """
    if not all(MOMENT.fullmatch(name) for name in names):
        return ", ".join(names)
    differing = differing_keys({job.name: flat_config(job.config) for job in jobs})
    labels = [label_of(differing, job.name, without=["data"]) for job in jobs]
    data = [str(job.config["data"]["name"]) for job in jobs]
    what, where = (listed(list(dict.fromkeys(several)), 4) for several in (labels, data))
    return f"{what} on {where}, before training"


def compose_probe_report(jobs: Sequence[ProbedJob], title: str) -> Report:
    """Put the report of a probe together.

    Args:
        jobs: One or more, as `read_probe` returns them.
        title: Heading of the report, in plain text.
    """
    configs = {job.name: flat_config(job.config) for job in jobs}
    differing = differing_keys(configs)
    labels = {job.name: label_of(differing, job.name) for job in jobs}
    sections = [
        _outlook(jobs, labels),
        _signal(jobs, labels),
        _over_time(jobs, labels),
        *_pictures(jobs, labels),
        _gaps(jobs, labels),
        how_to_repeat(_as_study(jobs, configs, differing)),
    ]
    return Report(title, [section for section in sections if section is not None])


def _outlook(jobs: Sequence[ProbedJob], labels: dict[str, str]) -> Section:
    """The section that says what can be trained, and why."""
    rows = [(job.name, job.metadata.get("outlook", ""), job.metadata.get("reason", "")) for job in jobs]
    data = pd.DataFrame(rows, columns=["job", "outlook", "reason"])
    parts: list[Part] = []
    if len(jobs) == 1:
        parts.append(Paragraph(f"{labels[jobs[0].name]}: {rows[0][1]}: {rows[0][2]}."))
    else:
        for outlook in OUTLOOKS:
            names = [labels[str(job)] for job in data.loc[data["outlook"] == outlook, "job"]]
            if names:
                parts.append(Paragraph(f"{outlook.capitalize()}: {listed(names, 12)}."))
    starts = [f"{labels[job.name]}: {first_loss_line(job.metadata)}" for job in jobs if starts_far(job.metadata)]
    if starts:
        parts.append(Points(starts))
    shown = data.assign(job=[labels[str(job)] for job in data["job"]])
    parts.append(Table("verdicts", "Whether networks can be trained from where they start, and why.", data, shown))
    return Section("The outlook before training", parts)


def _signal(jobs: Sequence[ProbedJob], labels: dict[str, str]) -> Section:
    """The section with signal and gradient in every layer."""
    tables = {labels[job.name]: job.tables["signal"] for job in jobs[:MOST_SHOWN]}
    more = f" The first {MOST_SHOWN} of {len(jobs)} jobs." if len(jobs) > MOST_SHOWN else ""
    caption = (
        "Lines are measured: mean over seeds, of sizes the geometric one, and one standard deviation to either side. "
        f"Dashes are mean-field theory.{more}"
    )
    whole = pd.concat([job.tables["signal"].assign(job=job.name) for job in jobs], ignore_index=True)
    keys = ["job", "position", "layer"]
    means = whole.groupby(keys, sort=False)[list(SHOWN)].mean().reset_index()
    shown = pd.DataFrame({"job": means["job"].map(labels), "layer": means["layer"]})
    for column, heading in SHOWN.items():
        share = column in ("dead", "saturated")
        shown[heading] = [_cell(value, share=share) for value in means[column].to_numpy(np.float64, na_value=np.nan)]
    known = describe_columns("signal")
    legend = Points([f"{name}: {known[key]}" for key, name in SHOWN.items() if not key.startswith("predicted")])
    return Section(
        "Signal by depth",
        [
            Picture("signal", caption, signal_by_depth(tables, looks_of(labels.values()))),
            Table("layers", "Every layer: means over seeds, and theory beside.", means, shown, folded=True),
            legend,
        ],
    )


def _over_time(jobs: Sequence[ProbedJob], labels: dict[str, str]) -> Section | None:
    """The section on recurrent networks; None where there are none."""
    recurrent = [job for job in jobs if "eigenvalues" in job.tables]
    if not recurrent:
        return None
    said: dict[str, list[str]] = {}
    for job in recurrent:
        for sentence in job.metadata.get("over_time", ()):
            said.setdefault(sentence, []).append(labels[job.name])
    parts: list[Part] = [
        Points([f"{text}." if len(jobs) == 1 else f"{listed(names, 6)}: {text}." for text, names in said.items()])
    ]
    lags = {labels[job.name]: job.tables["lags"] for job in recurrent if len(job.tables["lags"])}
    if lags:
        caption = (
            "Gradient by the state of the first recurrent layer, against how many steps before the last output the "
            "state is: geometric mean, least and greatest over seeds."
        )
        more = f" The first {len(LOOKS)} of {len(lags)} jobs." if len(lags) > len(LOOKS) else ""
        parts.append(Picture("lags", caption + more, gradient_by_lag(lags, looks_of(labels.values()))))
    whole = pd.concat([job.tables["eigenvalues"].assign(job=job.name) for job in recurrent], ignore_index=True)
    whole["gate"] = whole["gate"].fillna("")
    means = whole.groupby(["job", "weight", "gate"], sort=False)["spectral_radius"].agg(["mean", "min", "max"])
    means = means.reset_index()
    shown = pd.DataFrame({"job": means["job"].map(labels), "weight": means["weight"], "gate": means["gate"]})
    for column in ("mean", "min", "max"):
        shown[column] = [_cell(value, share=False) for value in means[column]]
    title = "Largest modulus of the eigenvalues of each recurrent matrix, over seeds."
    return Section("Over time", [*parts, Table("eigenvalues", title, means, shown, folded=True)])


def _pictures(jobs: Sequence[ProbedJob], labels: dict[str, str]) -> list[Section]:
    """Sections with the histograms of what layers hand on, the Jacobian's singular values, and what blocks do."""
    sections = []
    for name, title, caption, draw, most in (
        (
            "histograms",
            "What layers hand on",
            "Histograms of post-activations, and of the outputs, of one network a job.",
            activation_histograms,
            MOST_ROWS,
        ),
        (
            "spectrum",
            "The Jacobian",
            "Singular values of the outputs' Jacobian by the inputs: mean, least and greatest over seeds and rows.",
            jacobian_spectrum,
            len(LOOKS),
        ),
        (
            "blocks",
            "Attention and the residual stream",
            "Means over seeds, of the stream the geometric one; block 0 is what enters the first.",
            blocks_by_depth,
            len(LOOKS),
        ),
    ):
        tables = {labels[job.name]: job.tables[name] for job in jobs if len(job.tables.get(name, ()))}
        if tables:
            more = f" The first {most} of {len(tables)} jobs." if len(tables) > most else ""
            parts: list[Part] = [Picture(name, caption + more, draw(tables, looks_of(labels.values())))]
            if name == "blocks":
                parts.append(Points([f"{label}: {block_words(table)}." for label, table in tables.items()]))
            sections.append(Section(title, parts))
    return sections


def _gaps(jobs: Sequence[ProbedJob], labels: dict[str, str]) -> Section | None:
    """The section on what was not measured or predicted; None if there is no such thing."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        signal = job.tables["signal"]
        reasons = signal.groupby("no_prediction", sort=False)["layer"].agg(["first", "nunique"])
        for reason, row in reasons.iterrows():
            where = f"from {row['first']} on" if row["nunique"] > 1 else f"for {row['first']}"
            found.setdefault(f"No prediction {where}: {reason}", []).append(labels[job.name])
        # Where the signal is not predicted, the gradient is not either.
        back = signal[signal["no_prediction"].isna()].groupby("no_gradient_prediction", sort=False)["layer"].unique()
        for reason, layers in back.items():
            where = f"in {listed(list(map(str, layers)), 4)}"
            found.setdefault(f"No prediction of the gradient {where}: {reason}", []).append(labels[job.name])
        for weight, reason in job.metadata.get("unseen", {}).items():
            found.setdefault(f"Not measured: {weight}: {reason}", []).append(labels[job.name])
    if not found:
        return None
    whose = [
        f"{text}." if len(names) == len(jobs) else f"{text} ({listed(names, 6)})." for text, names in found.items()
    ]
    return Section("What was not measured or predicted", [Points(whose)])


def _as_study(jobs: Sequence[ProbedJob], configs: dict[str, dict[str, Any]], differing: pd.DataFrame) -> Study:
    """The jobs as what `how_to_repeat` reads: names, data sets, configurations and how they ran."""
    members = pd.DataFrame({"job": [job.name for job in jobs], "data": [job.config["data"]["name"] for job in jobs]})
    metadata = {job.name: job.metadata for job in jobs}
    return Study(members, pd.DataFrame(), differing, configs=configs, metadata=metadata)


def _cell(value: float, *, share: bool) -> str:
    if np.isnan(value):
        return "—"
    if share:
        return f"{value:.0%}"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
