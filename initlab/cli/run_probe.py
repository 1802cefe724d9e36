"""Probing the jobs of a command: tables in their folders, a report over all of them, and what it means in words."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from initlab.base.console import open_console, plain_warnings, quiet_libraries, say
from initlab.base.errors import JobsFailedError, UserError
from initlab.base.machine import describe_machine, trains_on_cuda
from initlab.base.threads import intra_op_threads, threads_of_probe, usable_cores
from initlab.base.wording import counted
from initlab.cli.command import started
from initlab.cli.tables import failure_table, show_refused
from initlab.cohort.engines import choose_engine, has_convolutions
from initlab.cohort.run import build_networks
from initlab.config.names import NOT_IDENTITY, job_name, without_keys
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.modules.stack import stack_members
from initlab.propagation.probe import Probe, probe_networks
from initlab.propagation.verdict import Verdict, judge
from initlab.reporting.probing import ProbedJob, compose_probe_report, probe_title
from initlab.reporting.write import write_report
from initlab.results.differences import differing_keys, flat_config, label_of
from initlab.sweep.checks import distinct_jobs, prepare_folder, usable_jobs
from initlab.sweep.folders import reason_of, write_failure
from initlab.tables.store import read_config, write_description, write_table

MOST_LINES = 12  # of a table in the terminal; signal.parquet has all layers


@dataclass(frozen=True)
class _Probed:
    """A job, what its probe found, and what that means."""

    job: Job
    label: str
    probe: Probe
    verdict: Verdict


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
    quiet_libraries()
    distinct = [_beside_others(job) for job in distinct_jobs(jobs)]
    checked = usable_jobs(distinct)
    usable, refused, faulty = checked.usable, checked.refused, checked.faulty
    if not usable and not faulty:
        raise UserError("; ".join(refused))
    study_folder = distinct[0].study_folder
    prepare_folder(study_folder)
    differing = differing_keys({job.name: flat_config(job.resolved) for job in usable})
    for note in checked.notes:
        say(console, note)
    found, failed = [], {}
    for job in distinct:
        if job.name in faulty:
            write_failure(job, "".join(traceback.format_exception(faulty[job.name])), started())
            failed[job.name] = f"{faulty[job.name]}; the traceback is in {job.folder / 'error.txt'}"
    for job in usable:
        try:
            with plain_warnings():
                probe = probe_job(job)
        except UserError as error:
            failed[job.name] = str(error)
            continue
        except Exception:  # one failing job does not stop the others
            write_failure(job, traceback.format_exc(), started())
            failed[job.name] = f"{reason_of(job)}; the traceback is in {job.folder / 'error.txt'}"
            continue
        (job.folder / "error.txt").unlink(missing_ok=True)
        probed = _Probed(job, label_of(differing, job.name), probe, judge(probe.signal))
        _write_tables(probed)
        console.print(_layer_table(probed))
        _say_remarks(probed, console)
        found.append(probed)
    if not found:
        kind = JobsFailedError if faulty else UserError
        raise kind("; ".join(dict.fromkeys(failed.values())))
    if len(found) > 1:
        console.print(_verdict_table(found))
    with_report = usable[0].config.report
    if with_report:
        _write_report(study_folder, found)
    show_refused({**refused, **left_out}, console)
    written = "report.html, report.md, figures/, tables/, " if with_report else ""
    say(console, f"In {study_folder}: {written}a folder a job")
    if failed:
        console.print(failure_table(failed))
        raise JobsFailedError(f"{len(failed)} of {counted(len(usable) + len(faulty), 'job')} could not be probed")


def _beside_others(job: Job) -> Job:
    """A job, named by all that was typed if its short name's folder has another configuration."""
    if not (job.folder / "config.yaml").exists():
        return job
    same = without_keys(read_config(job.folder), NOT_IDENTITY) == without_keys(job.resolved, NOT_IDENTITY)
    return job if same or not job.typed else replace(job, name=job_name(job.typed))


def probe_job(job: Job) -> Probe:
    """Build a job's members and look at the signal in them."""
    stack = stack_members(build_networks(Share(job, job.seeds), threads=usable_cores()))
    stack = stack.to(torch.device("cuda" if trains_on_cuda(job.config.trainer.accelerator) else "cpu"))
    batch = job.rows_to_look_at().to(next(iter(stack.parameters.values())).device)
    largest = max(value[0].numel() for value in stack.parameters.values())
    threads = threads_of_probe(largest * len(batch), convolutional=has_convolutions(stack.template))
    loss = job.loss
    with intra_op_threads(threads):
        return probe_networks(
            stack,
            batch,
            seeds=job.seeds,
            vectorized=choose_engine(job.config.engine, stack, batch.inputs[:2]) == "vmap",
            loss=lambda outputs, targets: loss(outputs, targets).sum(),
            fitted=job.fitted,
        )


def _layer_table(probed: _Probed) -> Table:
    """What was measured in some layers of a job, means over its members, with the predictions beside."""
    signal = probed.probe.signal
    means = signal.groupby("position").mean(numeric_only=True)
    names = signal.groupby("position")["layer"].first()
    table = Table(
        title=f"{probed.label}, {len(probed.job.seeds)} seeds",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("layer", overflow="fold")
    headings = {
        "pre-activation²": ("pre_second_moment", "predicted_second_moment"),
        "gradient²": ("gradient_second_moment", "predicted_gradient_second_moment"),
        "correlation": ("correlation", "predicted_correlation"),
    }
    for heading in headings:
        table.add_column(heading, justify="right")
        table.add_column("theory", justify="right", style="dim")
    table.add_column("dead", justify="right")
    table.add_column("saturated", justify="right")
    chosen = np.unique(np.linspace(1, len(means), min(MOST_LINES, len(means))).round().astype(int))
    for number in chosen:
        row = means.loc[number]
        pairs = [_number(float(row[column])) for both in headings.values() for column in both]
        shares = [f"{row[name]:.0%}" if np.isfinite(row[name]) else "" for name in ("dead", "saturated")]
        table.add_row(f"{number}  {escape(str(names[number]))}", *pairs, *shares)
    if len(chosen) < len(means):
        table.caption, table.caption_justify = f"{len(chosen)} of {len(means)} layers", "left"
    return table


def _verdict_table(found: Sequence[_Probed]) -> Table:
    """One row a job."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("outlook", no_wrap=True)
    table.add_column("why", overflow="fold")
    styles = {"trainable": "green", "hard to train": "yellow", "not trainable": "red"}
    for probed in found:
        outlook = probed.verdict.outlook
        table.add_row(escape(probed.label), f"[{styles[outlook]}]{outlook}[/]", escape(probed.verdict.reason))
    return table


def _say_remarks(probed: _Probed, console: Console) -> None:
    say(console, f"{probed.verdict}\n")
    reasons = probed.probe.signal.groupby("no_prediction", sort=False)["layer"].agg(["first", "nunique"])
    for reason, row in reasons.iterrows():
        where = f"from {row['first']} on " if row["nunique"] > 1 else f"for {row['first']} "
        say(console, f"no prediction {where}({reason})")
    for weight, reason in probed.probe.unseen.items():
        say(console, f"not measured: {weight}: {reason}")


def _metadata(probed: _Probed) -> dict[str, Any]:
    job = probed.job
    return describe_machine(job.config.trainer.accelerator) | {
        "seeds": list(job.seeds),
        "data_checksum": job.dataset.checksum,
        "outlook": probed.verdict.outlook,
        "reason": probed.verdict.reason,
        "unseen": dict(probed.probe.unseen),
    }


def _write_tables(probed: _Probed) -> None:
    job, probe = probed.job, probed.probe
    tables: Mapping[str, pd.DataFrame] = {
        "signal": probe.signal,
        "histograms": probe.histograms,
        "spectrum": probe.spectrum,
    }
    try:
        write_description(job.folder, job.resolved, _metadata(probed))
        for name, table in tables.items():
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
            {"signal": probed.probe.signal, "histograms": probed.probe.histograms, "spectrum": probed.probe.spectrum},
        )
        for probed in found
    ]
    in_order = sorted(jobs, key=lambda job: job.name)  # as `read_probe` finds them
    write_report(compose_probe_report(in_order, probe_title([study_folder.name], in_order)), study_folder)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "—" if np.isnan(value) else f"{value}"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
