"""A study: find what its folder lacks, train that cohort by cohort, and say what came out."""

import contextlib
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console

from initlab.cohort.tracking import JobTracking
from initlab.console import open_console, plain_warnings, quiet_libraries, say
from initlab.dashboard import has_logs, write_dashboard
from initlab.errors import JobsFailedError, UserError, counted
from initlab.jobs import Job
from initlab.machine import usable_cores
from initlab.reporting.document import Report
from initlab.reporting.markdown import to_markdown
from initlab.reporting.sections import compose_report
from initlab.reporting.words import answer
from initlab.reporting.write import write_report
from initlab.results.analysis import analyse
from initlab.results.store import remove_partial
from initlab.results.study import Study, read_study
from initlab.results.summary import summarize, write_summary
from initlab.results.tables import joined
from initlab.sweep import journal
from initlab.sweep.checks import distinct_jobs, prepare_directory
from initlab.sweep.cohorts import Cohort
from initlab.sweep.folders import outcome, reason_of, write_failure, write_job
from initlab.sweep.lock import locked
from initlab.sweep.plan import Plan, make_plan, make_schedule
from initlab.sweep.pool import run_in_pool
from initlab.sweep.worker import Run, run_cohort
from initlab.terminal import failure_table, plan_tables, progress_bar, show_refused, summary_table

Reporting = Callable[[Path, Console], None]


def run_study(jobs: Sequence[Job], *, alone: bool = False, reporting: Reporting | None = None) -> None:
    """Run the jobs of one sweep.

    Args:
        jobs: Of one study.
        alone: They may run beside others of the same study, in processes of their own.
        reporting: What is to be said at the end of the study in a folder; None: what `report` says.

    Raises:
        UserError: a job that cannot work, before anything trains; or another process is at work there.
        JobsFailedError: at the end, if some jobs failed.
        KeyboardInterrupt: the user stopped it; the jobs that finished have been written and summarized.
    """
    console = open_console()
    quiet_libraries()
    distinct = distinct_jobs(jobs)
    study = distinct[0].study
    if distinct[0].config.dry_run:
        show_plan(make_plan(distinct), console)
        return
    prepare_directory(study)
    with contextlib.ExitStack() as held:
        held.enter_context(locked(study / ".lock", shared=alone))
        if alone:
            prepare_directory(distinct[0].directory)
            held.enter_context(locked(distinct[0].directory / ".lock"))
        remove_partial(distinct[0].directory if alone else study)
        plan = make_plan(distinct)
        reporting = reporting or partial(report, whole=distinct[0].config.report)
        train_plan(plan, study, console, alone=alone, reporting=reporting)


def train_plan(plan: Plan, study: Path, console: Console, *, alone: bool, reporting: Reporting) -> None:
    """Train what a plan has left to do, and report on the whole study.

    Args:
        plan: Of the command.
        study: The sweep's folder.
        console: To print to.
        alone: Other processes may be at work on other jobs of this study.
        reporting: What is to be said at the end.

    Raises:
        JobsFailedError: at the end, if some jobs failed.
        UserError: at the end, if the cluster or the disk gave out.
        KeyboardInterrupt: the user stopped it.
    """
    for note in plan.notes:
        say(console, note)
    run = Run(uuid.uuid4().hex)
    problems: list[UserError] = []  # the first of them ends the command, after all that there is to say
    try:
        train_jobs(plan.jobs, study, run, console)
    except KeyboardInterrupt:
        say(console, f"stopped; what finished is kept, and the same command with name={study.name} goes on from here")
        with contextlib.suppress(UserError):
            report(study, console, whole=False)
        raise
    except UserError as error:  # a job failed, and fail_fast is set; or the cluster is not what it should be
        problems.append(error)
    outcomes = [(job, outcome(job, run.identity)) for job in plan.jobs]
    finished = {job.name for job in plan.finished} | {job.name for job, end in outcomes if end == "finished"}
    journal.tidy(study, finished, alone=alone)
    failed = [job for job, end in outcomes if end == "failed" or (end is None and not problems)]
    if failed and not problems:
        problems.append(JobsFailedError(_failures(failed, len(plan.jobs), study)))
    try:
        reporting(study, console)
    except UserError as error:
        problems.append(error)
    show_refused(plan.refused, console)
    if failed:
        console.print(failure_table({job.name: reason_of(job) for job in failed}))
    if problems:
        raise problems[0]


def train_jobs(jobs: Sequence[Job], study: Path, run: Run, console: Console) -> None:
    """Train jobs, or take from the journal what is there of them.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
    """
    if not jobs:
        return
    if not jobs[0].config.resume:
        journal.forget_jobs(study, jobs)
    left = write_kept(study, jobs, run)
    schedule = make_schedule(left)
    train_cohorts(schedule.cohorts, run, schedule.workers, console)
    write_kept(study, [job for job in left if outcome(job, run.identity) is None], run)


def _failures(failed: Sequence[Job], jobs: int, study: Path) -> str:
    """How many jobs failed, and what to do, in a line."""
    count = f"{len(failed)} of {counted(jobs, 'job')} failed"
    again = f"the same command with name={study.name} tries only {'these' if len(failed) > 1 else 'this'} again"
    return f"{count}; the traceback is in {failed[0].directory / 'error.txt'}; {again}"


def train_cohorts(cohorts: Sequence[Cohort], run: Run, workers: int, console: Console) -> None:
    """Train cohorts, here or in worker processes, and show how far they are.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
    """
    if not cohorts:
        return
    backend = cohorts[0].shares[0].job.config.backend
    with progress_bar(console, cohorts) as progress, plain_warnings():
        if workers > 1 or backend != "loky":
            run = replace(run, threads=max(1, usable_cores() // workers) if backend == "loky" else 1)
            run_in_pool(
                cohorts,
                run,
                workers=workers,
                advance=progress.advance,
                finished=progress.finish,
            )
            return
        for cohort in cohorts:
            progress.start(cohort)
            run_cohort(cohort, run, progress.advance)
            progress.finish(cohort)


def write_kept(study: Path, jobs: Sequence[Job], run: Run) -> list[Job]:
    """Write the jobs whose members' results are all kept in the journal; the others are returned."""
    kept = journal.kept_results(study, jobs) if jobs else {}
    left = []
    for job in jobs:
        parts = kept.get(job.name, [])
        if sum(len(part.members) for part in parts) < len(job.seeds):
            left.append(job)
            continue
        try:
            write_job(job, joined(parts), JobTracking(job, None), run.identity)
        except Exception:  # one failing job does not stop the others
            write_failure(job, traceback.format_exc(), run.identity)
    return left


def show_plan(plan: Plan, console: Console) -> None:
    """Print what would be trained, and how."""
    schedule = make_schedule(plan.jobs)
    for note in plan.notes:
        say(console, note)
    threads = max(1, usable_cores() // schedule.workers)
    memory = [schedule.memory(cohort, threads=threads) for cohort in schedule.cohorts]
    for table in plan_tables(plan.finished, schedule.cohorts, memory):
        console.print(table)
    show_refused(plan.refused, console)
    members = counted(sum(cohort.members for cohort in schedule.cohorts), "member")
    counts = f"{counted(len(plan.jobs), 'job')}, {members}, in {counted(len(schedule.cohorts), 'cohort')}"
    where = f"{schedule.workers} at a time" if schedule.workers > 1 else "one after another"
    say(console, f"{counts}, {where}; nothing was trained")


def report(study: Path, console: Console, *, whole: bool) -> None:
    """Summarize the finished jobs of a sweep: a table in the terminal, summary.csv, and the report.

    Args:
        study: The sweep's folder.
        console: To print to.
        whole: Write the report, too, and say its answer.

    Raises:
        UserError: the files cannot be written, as the disk is full, say.
    """
    found = read_study(study)
    for line in found.unreadable:
        say(console, f"not in the table: {line}")
    if found.members.empty:
        return
    if whole:
        analysis = analyse(found)
        console.print(summary_table(analysis.summary))
        for paragraph in answer(analysis):
            say(console, paragraph)
        publish(study, found, analysis.summary, compose_report(analysis, study.name))
    else:
        summary = summarize(found)
        console.print(summary_table(summary))
        publish(study, found, summary, None)
    written = "report.html, figures/, tables/, summary.csv" if whole else "summary.csv"
    say(console, f"In {study}: {written}, a folder a job")
    if not whole:
        say(console, f"python -m initlab.report {study}")
    if has_logs(study):
        say(console, f"tensorboard --logdir {study}")


def publish(directory: Path, study: Study, summary: pd.DataFrame, report: Report | None) -> None:
    """Write what a sweep says into its folder: summary.csv, the report, and TensorBoard's comparison of its jobs.

    Args:
        directory: The sweep's.
        study: Its finished jobs.
        summary: Of `summarize`.
        report: Composed; None: nothing but the summary.

    Raises:
        UserError: the files cannot be written, as the disk is full, say.
    """
    try:
        write_summary(directory, summary)
        figures, text = {}, ""
        if report is not None:
            write_report(report, directory)
            figures = {picture.name: picture.figure for picture in report.pictures}
            text = to_markdown(Report(report.title, report.sections[:2]))
        if has_logs(directory):
            write_dashboard(directory, study, summary, figures, text)
    except OSError as error:
        raise UserError(f"{directory}: the summary cannot be written ({error.strerror})") from error
