"""The end of a command that trains: what the study in its folder shows, in the terminal and as files."""

from pathlib import Path

import pandas as pd
from rich.console import Console

from initlab.base.console import say, say_as_is
from initlab.base.errors import UserError
from initlab.cli.tables import summary_table
from initlab.reporting.document import Report
from initlab.reporting.markdown import to_markdown
from initlab.reporting.sections import compose_report, title_of
from initlab.reporting.width import width_verdicts
from initlab.reporting.words import answer
from initlab.reporting.write import write_report
from initlab.results.analysis import analyse
from initlab.results.baseline import baseline_lines, failure_lines
from initlab.results.candidates import CONDITION, arrange, find_axes
from initlab.results.confidence import MARGIN
from initlab.results.first_losses import first_loss_lines
from initlab.results.pooling import pool_seeds
from initlab.results.study import Study, read_study
from initlab.results.summary import write_summary
from initlab.tables.bundles import bundle_of
from initlab.tracking.dashboard import has_logs, write_dashboard


def conclude_study(folder: Path, console: Console, *, with_report: bool, margin: float = MARGIN) -> None:
    """Say what the finished jobs of a study show: a table and the answer in the terminal, summary.csv, and the report.

    Args:
        folder: The study's, whose finished jobs are read.
        console: The terminal that the table goes to.
        with_report: Write the report, too.
        margin: A difference of scores that does not matter.

    Raises:
        UserError: the files cannot be written, as the disk is full, say.
    """
    found = read_study(folder)
    for line in found.unreadable:
        say(console, f"not in the table: {line}")
    if found.members.empty:
        return
    analysis = analyse(found, margin=margin)
    best = set(analysis.candidates["job"]) if analysis.axes.tuned and with_report else None
    table = summary_table(analysis.summary, width=console.width, best=best, conditions=_condition_places(found))
    console.print(table)
    # What scores have to be above, why some are not, and which networks started from further away than a guess.
    for line in [*baseline_lines(found), *failure_lines(found), *first_loss_lines(found)]:
        say(console, line)
    for paragraph in [*answer(analysis), *width_verdicts(analysis)]:
        say(console, paragraph)
    report = compose_report(analysis, title_of([folder.name], analysis)) if with_report else None
    publish(folder, found, analysis.summary, report)
    written = "report.html, figures/, tables/, summary.csv" if with_report else "summary.csv"
    bundled = [bundle_of(job) is not None for job in found.folders.values()]
    kept = [
        *(["a folder a job"] if not all(bundled) else []),
        *(["jobs/ with many jobs' tables"] if any(bundled) else []),
    ]
    say(console, f"In {folder}: {', '.join([written, *kept])}")
    if not with_report:
        say_as_is(console, f"python -m initlab.report {folder}")
    if has_logs(folder):
        say_as_is(console, f"tensorboard --logdir {folder}")


def _condition_places(study: Study) -> dict[str, int]:
    """By job, the place of its condition among all of the study."""
    jobs = arrange(study, find_axes(pool_seeds(study).differing))
    return {str(job): int(place) for job, place in jobs.groupby(CONDITION, sort=False).ngroup().items()}


def publish(folder: Path, study: Study, summary: pd.DataFrame, report: Report | None) -> None:
    """Write what a study shows into its folder: summary.csv, the report, and TensorBoard's comparison of its jobs.

    Args:
        folder: The study's, which the files go to.
        study: Its finished jobs, as `read_study` returns them.
        summary: One row a job, as `summarize` returns it, or as an analysis holds it.
        report: As `compose_report` returns it; None: nothing but the summary is written.

    Raises:
        UserError: the files cannot be written, as the disk is full, say.
    """
    try:
        write_summary(folder, summary)
        if report is not None:
            write_report(report, folder)
        if has_logs(folder):
            names = [picture.name for picture in report.pictures] if report is not None else []
            figures = {name: (folder / "figures" / f"{name}.png").read_bytes() for name in names}
            text = to_markdown(Report(report.title, report.sections[:2])) if report is not None else ""
            write_dashboard(folder, study, summary, figures, text)
    except OSError as error:
        raise UserError(f"{folder}: the summary cannot be written ({error.strerror})") from error
