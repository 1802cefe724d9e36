"""Training a study: find what its folder lacks, train that cohort by cohort, and say what came out."""

import contextlib
import gc
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from rich.console import Console

from initlab.base.console import open_console, plain_warnings, say
from initlab.base.errors import JobsFailedError, UserError
from initlab.base.files import remove_bare, remove_partial
from initlab.base.importing import load
from initlab.base.lock import locked
from initlab.base.wording import counted, duration_text
from initlab.cli.command import swept, typed_command
from initlab.cli.conclude import conclude_study
from initlab.cli.explain_failures import explain_failures
from initlab.cli.progress_bar import progress_bar
from initlab.cli.tables import failure_table, plan_tables, show_refused
from initlab.cli.until_decided import EVERY_PAIR, Interest, check_looks, train_until_decided
from initlab.jobs.job import Job
from initlab.sweep import journal
from initlab.sweep.asking import asking
from initlab.sweep.backends import Backend, open_backend
from initlab.sweep.checks import distinct_jobs, prepare_folder
from initlab.sweep.crew import Crew, training_crew
from initlab.sweep.folders import forget_failure, outcome, reason_of, seeds_of_run, write_failure
from initlab.sweep.naming import place_jobs, split_faulty
from initlab.sweep.plan import Plan, Schedule, lacking, make_plan, make_schedule
from initlab.sweep.pool import run_in_pool
from initlab.sweep.run import Run
from initlab.sweep.writing import adopt, finish_writing, remove_unfinished, write_job
from initlab.tables.bundles import forget_bundles
from initlab.tables.job_tables import JobTables, joined
from initlab.tables.store import description_of, finished_jobs

Conclude = Callable[[Path, Console], None]


def run_study(
    jobs: Sequence[Job],
    *,
    left_out: Mapping[str, Sequence[str]] = MappingProxyType({}),
    beside_others: bool = False,
    conclude: Conclude | None = None,
    with_report: bool = True,
    interest: Interest = EVERY_PAIR,
    crew: Crew | None = None,
) -> None:
    """Train the jobs of one command that are not finished yet, and say what their study shows.

    Args:
        jobs: As they were composed, of one study.
        left_out: Names of jobs that lack a key which was typed, by the reason.
        beside_others: Other processes may be at work on other jobs of the same study, as where one of Hydra's own
            launchers gives each job a process.
        conclude: Called at the end with the study's folder and the console; None: `conclude_study`.
        with_report: Whether `conclude_study` writes the report, if the key `report` asks for it.
        interest: With `seeds=auto`, what is to be decided.
        crew: Processes of this machine that may have started already; None: none has.

    Raises:
        UserError: a job that cannot work, before anything trains; or another process is at work there.
        JobsFailedError: at the end, if some jobs failed.
        KeyboardInterrupt: the user stopped it; the jobs that finished have been written and summarized.
    """
    console = open_console()
    forget_bundles()
    distinct = distinct_jobs(jobs)
    if len(distinct) < len(jobs):
        pooled = "those that differ in nothing, or in seeds alone, are one, each seed once"
        say(console, f"{len(jobs)} jobs are {len(distinct)}: {pooled}")
    config, folder = distinct[0].config, distinct[0].study_folder
    check_looks(jobs)
    distinct, without_data = split_faulty(distinct)
    if config.dry_run:
        _show_plan(make_plan(place_jobs(distinct), left_out, without_data), console)
        return
    made = [path for path in folder.parents if not path.exists()]
    try:
        prepare_folder(folder)
        with contextlib.ExitStack() as held:
            held.enter_context(locked(folder / ".lock", shared=beside_others))
            held.enter_context(plain_warnings())
            own = folder
            if beside_others and distinct:
                job = place_jobs(distinct)[0].job
                own = job.folder
                prepare_folder(own)
                held.callback(remove_unfinished, [job])
                # Where another process trains other seeds of the same job, what it leaves is extended.
                held.enter_context(locked(own / ".lock", wait=True))
            finish_writing(own)
            remove_partial(own)
            placed = place_jobs(distinct)
            crew = crew or held.enter_context(training_crew())
            with console.status(f"trying a network of each of {counted(len(placed), 'job')}"):
                plan = make_plan(placed, left_out, without_data, ask=asking(crew))
            conclude = conclude or partial(
                conclude_study, with_report=with_report and config.report, margin=config.margin
            )
            _train_plan(plan, folder, console, crew, beside_others=beside_others, conclude=conclude, interest=interest)
    finally:
        remove_bare(folder, made)


def _train_plan(
    plan: Plan,
    folder: Path,
    console: Console,
    crew: Crew,
    *,
    beside_others: bool,
    conclude: Conclude,
    interest: Interest,
) -> None:
    """Train what a plan has left to do, and conclude; the errors raised are those of `run_study`."""
    for note in plan.notes:
        say(console, note)
    for job in plan.finished:
        forget_failure(job)
        if job.made_of:  # of several results with other files of the user's, those that are asked for now count
            description_of(job.folder).touch()
    run = Run(uuid.uuid4().hex, command=typed_command())
    problems: list[UserError] = []  # the first of them ends the command, after all that there is to say
    try:
        if plan.jobs and not plan.jobs[0].config.resume:
            journal.forget_jobs(folder, plan.jobs)
        if any(job.looks > 1 for job in plan.whole) and not beside_others:

            def train(wanted: Mapping[str, Sequence[int]]) -> list[str]:
                train_seeds(plan, wanted, run, console, crew)
                return [job.name for job in plan.whole if outcome(job, run.identity) == "failed"]

            train_until_decided(plan.whole, train, console, interest)
        else:
            train_seeds(plan, {job.name: job.seeds for job in plan.whole}, run, console, crew)
            if any(job.looks > 1 for job in plan.whole):
                say(console, _first_look_only(plan.whole[0], folder))
    except KeyboardInterrupt:
        if not beside_others:
            remove_unfinished(plan.jobs)
        kept = (not beside_others and journal.forget_useless(folder)) or bool(finished_jobs(folder))
        goes_on = f"what finished is kept, and the same command with name={folder.name} goes on from here"
        say(console, f"stopped; {goes_on if kept or beside_others else 'nothing had finished, and nothing is kept'}")
        with contextlib.suppress(UserError):
            conclude_study(folder, console, with_report=False, margin=plan.whole[0].config.margin)
        raise
    except UserError as error:  # a job failed, and fail_fast is set; or the cluster is not what it should be
        problems.append(error)
    crew.release()
    for job, fault in plan.faulty:
        write_failure(job, "".join(traceback.format_exception(fault)), run.identity, run.command)
    began = {job.name for job in plan.jobs}
    # Of those that had what was asked for at first, too, some may have got more.
    extended = [job for job in plan.whole if job.name not in began and outcome(job, run.identity) is not None]
    worked_on = [*plan.jobs, *extended]
    outcomes = [(job, outcome(job, run.identity)) for job in worked_on]
    finished = {job.name for job in plan.finished} | {job.name for job, end in outcomes if end == "finished"}
    journal.tidy(folder, finished, beside_others=beside_others)
    failed = [job for job, end in outcomes if end == "failed" or (end is None and not problems)]
    failed += [job for job, _ in plan.faulty]
    if failed and not problems:
        problems.append(JobsFailedError(_failures(failed, len(worked_on) + len(plan.faulty), folder)))
    explain_failures([*plan.finished, *(job for job, end in outcomes if end == "finished")])
    try:
        conclude(folder, console)
    except UserError as error:
        problems.append(error)
    show_refused(plan.refused, console)
    if failed:
        console.print(failure_table({job.name: reason_of(job) for job in failed}))
    if problems:
        raise problems[0]


def train_seeds(plan: Plan, wanted: Mapping[str, Sequence[int]], run: Run, console: Console, crew: Crew) -> None:
    """Train given seeds of some jobs of a plan, as far as they are not there; what came out is in the jobs' folders.

    It may be called again, within one command, for more seeds of some of the jobs: each time those are trained that are
    missing, and a job's tables hold all that it has then. What an earlier run kept in the journal is taken from there.

    Args:
        plan: What the command has found; its process holds the study's lock.
        wanted: By the name of a job of `plan.whole`, all the seeds that it is to have. Whoever trains beside whom
            follows from this, so that an interrupted command that is given again does the same.
        run: The same for all calls of a command.
        console: The terminal.
        crew: The command's processes of this machine; where there are none yet, those that are worth it start.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
    """
    whole = [job.with_seeds(wanted[job.name]) for job in plan.whole if wanted.get(job.name)]
    found = {job.name: plan.trained.get(job.name, frozenset()) | seeds_of_run(job, run.identity) for job in whole}
    jobs = lacking(whole, found)
    if not jobs:
        return
    for job in jobs:
        if job.name in plan.elsewhere and not seeds_of_run(job, run.identity):
            adopt(job, [*plan.elsewhere[job.name], job.folder], run.identity, run.command)
    folder = jobs[0].study_folder
    kept = journal.kept_results(folder, jobs)
    left = _write_kept(jobs, kept, run)
    if not left:
        return
    with open_backend(left[0].config) as backend:  # a cluster that starts here starts once
        schedule = make_schedule(whole, left, kept, most_workers=backend.most_workers, ask=asking(crew))
        _train_cohorts(schedule, backend, run, console, crew)
    in_parts = [job for job in left if outcome(job, run.identity) is None]
    if in_parts:
        _write_kept(in_parts, journal.kept_results(folder, in_parts), run)


def _first_look_only(job: Job, folder: Path) -> str:
    """Why a job in a process of its own gets no more seeds than the first, in a line."""
    enough = f"{counted(len(job.seeds), 'seed')} are enough"
    if not swept():
        return f"seeds=auto: one job is compared with nothing, so that {enough}"
    return (
        f"seeds=auto: jobs in processes of their own get {len(job.seeds)} seeds each; the same command with "
        f"name={folder.name}, without hydra/launcher, adds more where a pair is undecided"
    )


def _failures(failed: Sequence[Job], jobs: int, folder: Path) -> str:
    """How many jobs failed, and what to do, in a line."""
    count = f"{len(failed)} of {counted(jobs, 'job')} failed"
    again = f"the same command with name={folder.name} tries only {'these' if len(failed) > 1 else 'this'} again"
    told = [job.folder / "error.txt" for job in failed if (job.folder / "error.txt").exists()]
    if not told:
        return f"{count}, as nothing can be written to {folder}: is its disk full? With room there {again}"
    return f"{count}; the traceback is in {told[0]}; {again}"


def _train_cohorts(schedule: Schedule, backend: Backend, run: Run, console: Console, crew: Crew) -> None:
    """Train cohorts, here or in worker processes, and show how far they are.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
    """
    cohorts, workers = schedule.cohorts, schedule.workers
    run = replace(run, cores=schedule.cores, members=schedule.members)
    with progress_bar(console, cohorts, schedule.member_epoch_seconds) as progress:
        if workers > 1 or backend.name != "loky" or crew.has_started:
            if len(cohorts) == 1:  # of several at a time none has the title
                progress.start(cohorts[0])
            run_in_pool(
                cohorts,
                run,
                backend=backend,
                crew=crew,
                workers=workers,
                advance=progress.advance,
                finish=progress.finish,
            )
            return
        load("initlab.sweep.worker")  # it brings Lightning, which a process need not have that trains nothing
        from initlab.sweep.worker import run_cohort

        gc.freeze()  # what there is of many jobs, and stays, need not be looked through after each cohort
        try:
            for cohort in cohorts:
                progress.start(cohort)
                run_cohort(cohort, run, partial(progress.advance, cohort))
                progress.finish(cohort)
        finally:
            gc.unfreeze()


def _write_kept(jobs: Sequence[Job], kept: Mapping[str, Sequence[JobTables]], run: Run) -> list[Job]:
    """Write the jobs of whose seeds all results are kept in the journal; the others are returned."""
    left = []
    for job in jobs:
        parts = kept.get(job.name, [])
        if not set(job.seeds) <= {seed for part in parts for seed in part.seeds}:
            left.append(job)
            continue
        from initlab.tracking.callback import JobTracking

        try:
            write_job(job, joined(parts), JobTracking(job, None), run.identity, run.command)
        except Exception:  # one failing job does not stop the others
            write_failure(job, traceback.format_exc(), run.identity, run.command)
    return left


def _show_plan(plan: Plan, console: Console) -> None:
    """Print what would be trained, and how."""
    schedule = Schedule([], 1, 1, {}, {})
    if plan.jobs:
        kept = journal.kept_results(plan.jobs[0].study_folder, plan.jobs)
        with open_backend(plan.jobs[0].config) as backend:
            schedule = make_schedule(plan.whole, plan.jobs, kept, most_workers=backend.most_workers)
    for note in plan.notes:
        say(console, note)
    for table in plan_tables(plan.finished, schedule):
        console.print(table)
    show_refused(plan.refused, console)
    if plan.faulty:
        console.print(failure_table({job.name: str(error) for job, error in plan.faulty}))
    members = counted(sum(cohort.members for cohort in schedule.cohorts), "member")
    counts = f"{counted(len(plan.jobs), 'job')}, {members}, in {counted(len(schedule.cohorts), 'cohort')}"
    where = f"{schedule.workers} at a time" if schedule.workers > 1 else "one after another"
    takes = f", ≈ {duration_text(schedule.seconds)}" if schedule.cohorts else ""
    say(console, f"{counts}, {where}{takes}; nothing was trained")
    if any(job.looks > 1 for job in plan.whole):
        job = plan.whole[0]
        say(
            console,
            f"seeds=auto: these are the first {len(job.seeds)} seeds; up to {job.config.max_seeds} where a pair of "
            "candidates is undecided",
        )
