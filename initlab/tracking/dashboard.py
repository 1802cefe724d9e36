"""What TensorBoard shows of a whole study: one more run beside those of its jobs."""

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import custom_scalars
from torch.utils.tensorboard.summary import text as text_summary

from initlab.results.study import Study
from initlab.tables.schema import METRICS
from initlab.tracking.hyperparameters import experiment, hyperparameters
from initlab.tracking.log_files import EVENT_FILES

FOLDER = "_all jobs"  # a space is in no job's name


def write_dashboard(
    study_folder: Path, study: Study, summary: pd.DataFrame, figures: Mapping[str, bytes], text: str
) -> None:
    """Write the run that compares a study's jobs, in place of a former one.

    Under Custom Scalars it has the jobs' curves with their 95 % intervals, under HParams the columns of all jobs,
    under Images the figures, and under Text what the study says.

    Args:
        study_folder: The study's folder; the run is written to `_all jobs` in it.
        study: Its finished jobs, as `read_study` returns them.
        summary: One row a job, as `summarize` returns it.
        figures: Figures as the content of PNG files, by the names that TensorBoard shows.
        text: What the study says, as Markdown; empty: none is shown.

    Raises:
        OSError: the run cannot be written, because the disk is full, say.
    """
    metrics = [str(metric) for metric in summary["metric"].unique()]
    jobs = [hyperparameters(config) for config in study.configs.values()]
    summaries = [
        experiment(jobs, differing=[str(key) for key in study.differing], metrics=metrics),
        layout(metrics),
        *([text_summary("all jobs", text)] if text else []),  # before the jobs' long configurations
        *(_image(name, content) for name, content in figures.items()),
    ]
    _replace_events(study_folder / FOLDER, summaries)


def write_chapter_log(folder: Path, title: str, text: str, figures: Mapping[str, bytes]) -> None:
    """Write a run that shows a text under Text and pictures under Images, in place of a former one.

    Args:
        folder: Of the run.
        title: Of the text.
        text: In Markdown.
        figures: As `write_dashboard` takes them.

    Raises:
        OSError: the run cannot be written.
    """
    _replace_events(folder, [text_summary(title, text), *(_image(name, png) for name, png in figures.items())])


def has_logs(study_folder: Path) -> bool:
    """Whether a job of a study, given by its folder, has logged to TensorBoard."""
    return any(path.parent.name != FOLDER for path in study_folder.glob(f"*/{EVENT_FILES}"))


def layout(metrics: Sequence[str]) -> Summary:
    """The charts under Custom Scalars: each job's mean over its members as a line, in the band of its 95 % interval.

    Args:
        metrics: What the jobs' scores are, names of `schema.METRICS`: each gets a chart.
    """
    shown = {
        **{f"validation {METRICS[metric]}": f"val_{metric}" for metric in metrics},
        "validation loss": "val_loss",
        "training loss": "train_loss",
        "gradient norm": "train_gradient_norm",
    }
    charts = {title: ("Margin", [f"{tag}/{end}" for end in ("mean", "low", "high")]) for title, tag in shown.items()}
    # TensorBoard 2.21 draws them last to first: it puts each before the second half of the one before it.
    return custom_scalars({"mean over seeds and its 95 % interval, by epoch": dict(reversed(charts.items()))})


def _image(name: str, png: bytes) -> Summary:
    """An image as TensorBoard keeps it: the PNG file as it is, which need not be drawn and packed again."""
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))  # its header begins with them
    kept = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=name, image=kept)])


def _replace_events(folder: Path, summaries: Iterable[Summary]) -> None:
    """Write an event file in place of those that a folder has."""
    folder.mkdir(parents=True, exist_ok=True)
    former = list(folder.glob(EVENT_FILES))
    # Under a name of its own, so that a TensorBoard that is open takes it up.
    _write_events(folder / EVENT_FILES.replace("*", f"{time.time_ns()}.{platform.node()}.{os.getpid()}"), summaries)
    for path in former:
        path.unlink(missing_ok=True)


def _write_events(path: Path, summaries: Iterable[Summary]) -> None:
    """Write an event file with some summaries at step 0, at once and in this thread, so that errors come out here."""
    now = time.time()
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for summary in summaries:
            writer.write(Event(wall_time=now, step=0, summary=summary).SerializeToString())
