"""Probing the jobs of a command: tables in their folders, a report over all of them, and what it means in words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from initlab.base.console import open_console, say
from initlab.base.errors import JobsFailedError, UserError
from initlab.base.machine import describe_machine
from initlab.base.wording import counted
from initlab.cli.command import started, typed_command
from initlab.cli.probe_tables import layer_table, verdict_table
from initlab.cli.tables import failure_table, show_refused
from initlab.config.names import NOT_IDENTITY, job_name, without_keys
from initlab.jobs.job import Job
from initlab.propagation.block_words import block_words
from initlab.propagation.first_loss import FirstLoss
from initlab.propagation.probe import Probe
from initlab.propagation.verdict import Verdict, judge
from initlab.reporting.probing import ProbedJob, compose_probe_report, probe_title
from initlab.reporting.write import write_report
from initlab.results.differences import differing_keys, flat_config, label_of
from initlab.sweep.checks import check_jobs, distinct_jobs, prepare_folder
from initlab.sweep.folders import reason_of, write_failure
from initlab.sweep.naming import free_beside, split_faulty
from initlab.sweep.probing import Fault, Workers, probe_jobs
from initlab.tables.store import has_results, read_config, write_description, write_table


@dataclass(frozen=True)
class _Probed:
    """A job, what its probe found, what that means, and by seed how long its initializer took."""

    job: Job
    label: str
    probe: Probe
    verdict: Verdict
    init_seconds: Mapping[int, float]


def run_probe(jobs: Sequence[Job], *, left_out: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
    """Probe the jobs of one command, and report.

    Args:
        jobs: As they were composed, of one study.
        left_out: Names of jobs that lack a key which was typed, by the reason.

    Raises:
        UserError: a job that cannot work, or none can; or the folder cannot be written.
        JobsFailedError: at the end, if some jobs could not be probed.
    """
    console = open_console()
    loadable, without_data = split_faulty(distinct_jobs(jobs))
    placed, notes = _place(loadable)
    study_folder, with_report = jobs[0].study_folder, jobs[0].config.report
    all_in = "tables/layers.csv" if with_report else "signal.parquet"
    found: list[_Probed] = []
    with Workers(placed, tell=partial(say, console)) as workers:
        checked = check_jobs(placed, to_train=False, took=workers.note_check)
        usable, refused = checked.usable, checked.refused
        faulty = [*without_data, *((job, checked.faulty[job.name]) for job in placed if job.name in checked.faulty)]
        if not usable and not faulty:
            raise UserError("; ".join(refused))
        prepare_folder(study_folder)
        differing = differing_keys({job.name: flat_config(job.resolved) for job in usable})
        for note in [*notes, *checked.notes]:
            say(console, note)
        faults = [(job, Fault.of(error)) for job, error in faulty]
        for job, one in probe_jobs(usable, workers):
            if isinstance(one.outcome, Fault):
                faults.append((job, one.outcome))
                continue
            (job.folder / "error.txt").unlink(missing_ok=True)
            probe = one.outcome
            probed = _Probed(
                job, label_of(differing, job.name), probe, judge(probe.signal, probe.lags), one.init_seconds
            )
            _write_tables(probed)
            heading = f"{probed.label}, {len(job.seeds)} seeds"
            console.print(layer_table(heading, probe.signal, width=console.width, all_in=all_in))
            _say_remarks(probed, console)
            found.append(probed)
    failed = {job.name: _what_failed(job, fault) for job, fault in faults}
    if not found:
        kind = UserError if all(fault.to_retype for _, fault in faults) else JobsFailedError
        raise kind("; ".join(dict.fromkeys(failed.values())))
    if len(found) > 1:
        console.print(verdict_table([(probed.label, probed.verdict) for probed in found]))
    if with_report:
        _write_report(study_folder, found)
    show_refused({**refused, **left_out}, console)
    written = "report.html, report.md, figures/, tables/, " if with_report else ""
    say(console, f"In {study_folder}: {written}a folder a job")
    if failed:
        console.print(failure_table(failed))
        raise JobsFailedError(f"{len(failed)} of {counted(len(usable) + len(faulty), 'job')} could not be probed")


def _what_failed(job: Job, fault: Fault) -> str:
    """Why a job could not be probed, in a line; a traceback goes to its folder."""
    if fault.to_retype:
        return fault.message
    write_failure(job, fault.traceback, started(), typed_command())
    return f"{reason_of(job)}; the traceback is in {job.folder / 'error.txt'}"


def _place(jobs: Sequence[Job]) -> tuple[list[Job], list[str]]:
    """Name jobs after folders that hold nothing else, and say of each that does not get its own where it goes."""
    placed: list[Job] = []
    notes: list[str] = []
    taken = {job.name for job in jobs}
    for job in jobs:
        one = job if _is_free(job) else _beside(job, taken)
        if one is not job:
            notes.append(f"{job.name}: that folder holds something else, and stays as it is; this goes to {one.name}")
        taken.add(one.name)
        placed.append(one)
    return placed, notes


def _beside(job: Job, taken: Collection[str]) -> Job:
    """A job under another name: of all that was typed for it, or its own with a hash behind it."""
    long = replace(job, name=job_name(job.typed))

    def is_free(other: Job) -> bool:
        return other.name not in taken and _is_free(other)

    return long if is_free(long) else free_beside(job, is_free)


def _is_free(job: Job) -> bool:
    """Whether a job's folder holds no training, and no probe of another configuration; a damaged one does not count."""
    if has_results(job.folder):
        return False
    if not (job.folder / "config.yaml").exists():
        return True
    try:
        former = read_config(job.folder)
    except UserError:
        return True
    return without_keys(former, NOT_IDENTITY) == without_keys(job.resolved, NOT_IDENTITY)


def _say_remarks(probed: _Probed, console: Console) -> None:
    start, recurrence = probed.probe.first_loss, probed.probe.recurrence
    says = [
        str(probed.verdict),
        str(start) if start is not None and start.far else "",
        block_words(probed.probe.blocks),
        *(f"over time: {sentence}" for sentence in (recurrence.sentences() if recurrence else ())),
    ]
    says = [sentence for sentence in says if sentence]
    for number, sentence in enumerate(says, start=1):
        say(console, f"{sentence}\n" if number == len(says) else sentence)
    reasons = probed.probe.signal.groupby("no_prediction", sort=False)["layer"].agg(["first", "nunique"])
    for reason, row in reasons.iterrows():
        where = f"from {row['first']} on " if row["nunique"] > 1 else f"for {row['first']} "
        say(console, f"no prediction {where}({reason})")
    for weight, reason in probed.probe.unseen.items():
        say(console, f"not measured: {weight}: {reason}")


def _metadata(probed: _Probed) -> dict[str, Any]:
    job = probed.job
    return describe_machine(job.config.trainer.accelerator, typed_command()) | {
        "seeds": list(job.seeds),
        "init_seconds": [probed.init_seconds[seed] for seed in job.seeds],
        "data_checksum": job.data.checksum,
        "outlook": probed.verdict.outlook,
        "reason": probed.verdict.reason,
        "unseen": dict(probed.probe.unseen),
        "over_time": [] if probed.probe.recurrence is None else probed.probe.recurrence.sentences(),
        **_metadata_of_start(probed.probe.first_loss),
    }


def _metadata_of_start(start: FirstLoss | None) -> dict[str, Any]:
    if start is None:
        return {}
    return {"first_loss": start.measured, "chance_loss": start.chance, "first_loss_by": start.blame}


def _write_tables(probed: _Probed) -> None:
    job = probed.job
    try:
        write_description(job.folder, job.resolved, _metadata(probed))
        for name, table in probed.probe.tables.items():
            write_table(job.folder, name, table.assign(job=job.name))
    except OSError as error:
        raise UserError(f"{job.folder}: cannot be written ({error.strerror})") from error


def _write_report(study_folder: Path, found: Sequence[_Probed]) -> None:
    """Write the report over all jobs that were probed.

    Raises:
        UserError: it cannot be written.
    """
    jobs = [
        ProbedJob(
            probed.job.name,
            dict(probed.job.resolved),
            _metadata(probed),
            probed.probe.tables,
        )
        for probed in found
    ]
    in_order = sorted(jobs, key=lambda job: job.name)  # as `read_probe` finds them
    write_report(compose_probe_report(in_order, probe_title([study_folder.name], in_order)), study_folder)
