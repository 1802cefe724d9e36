"""Recommending an initialization: look at all schemes, train the promising ones, and say which to use."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from rich.console import Console

from initlab.activations import Activation
from initlab.base.console import open_console, plain_warnings, say, say_as_is
from initlab.base.errors import UserError, first_line
from initlab.base.wording import counted, rate_text, shortest
from initlab.cli.conclude import publish
from initlab.cli.run_train import run_study
from initlab.cli.screening import screening_bar, split_by_cost
from initlab.cli.tables import show_refused
from initlab.cli.until_decided import Interest
from initlab.config.files import keys_of_all
from initlab.config.names import NOT_IDENTITY, key_of, short_name, swept_keys, without_keys
from initlab.config.schema import parse_config
from initlab.initializers import find_scheme
from initlab.initializers.snippet import code_for, words_on_batch
from initlab.jobs.job import Job
from initlab.propagation.verdict import judge, unevenness
from initlab.reporting.document import Code, Paragraph, Report
from initlab.reporting.recommendation import Screened, recommendation_section, screening_section
from initlab.reporting.sections import compose_report
from initlab.results.analysis import analyse
from initlab.results.baseline import baseline_lines
from initlab.results.choice import TORCH, choose_candidate
from initlab.results.study import read_study
from initlab.sweep.checks import check_jobs, distinct_jobs
from initlab.sweep.probing import probe_job
from initlab.tables.store import finished_jobs, read_config

SCREENING_SEEDS = 3
DECADES = 3  # that the grid of learning rates spans
FREE = {*NOT_IDENTITY, "init", "optim.lr"}  # keys in which the jobs of a recommendation may differ
ORDER = ("trainable", "not measured", "hard to train", "not trainable")


MOST_REASONS: Final = 3  # that are told one by one


@dataclass(frozen=True)
class ScreenedJob:
    """A scheme's job, and what its untrained networks look like.

    Attributes:
        job: A job with the scheme, at any learning rate.
        outlook: Of the probe's verdict; `not measured` where it cannot be measured.
        reason: The verdict's, or what went wrong.
        unevenness: How much signal and gradient change over the layers, as `propagation.verdict.unevenness` has it.
    """

    job: Job
    outlook: str
    reason: str
    unevenness: float


def run_recommend(jobs: Sequence[Job], *, left_out: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
    """Recommend an initializer among those of some jobs of one network on one data set.

    Args:
        jobs: As they were composed, of one study.
        left_out: Names of jobs that lack a key which was typed, by the reason.

    Raises:
        UserError: jobs that differ in more than initializer and learning rate, or none can be trained.
        JobsFailedError: at the end, if some jobs failed.
    """
    console = open_console()
    by_scheme, rates = split_jobs(distinct_jobs(jobs))
    settings = by_scheme[0].config.recommend
    assert settings is not None  # conf/recommend.yaml has it
    _refuse_other_results(by_scheme[0])
    grid = rates or rates_around(by_scheme[0].learning_rate, settings.rates)
    networks = 1 + SCREENING_SEEDS + len(grid) * len(by_scheme[0].seeds)
    baseline = None if any(job.init.scheme == TORCH for job in by_scheme) else as_torch_does(by_scheme[0])
    beside = "" if baseline is None else f", and at {TORCH}, which they are compared with"
    say(console, f"looking at {counted(len(by_scheme), 'scheme')} before training{beside}")
    if by_scheme[0].config.dry_run:
        _show_plan(by_scheme, baseline, grid, settings.schemes, console)
        return
    by_scheme, lines = split_by_cost(by_scheme, networks, settings.max_minutes)
    for line in lines:
        say(console, line)
    show_refused(left_out, console)
    screened, faulty = _look_at(by_scheme, baseline, console)
    promising = choose_promising(screened, settings.schemes)
    swept = swept_keys([job.typed for job in jobs])
    chosen = [with_rate(one.job, rate, swept) for one in promising for rate in grid]
    trained = {one.job.name for one in promising}
    rows = [Screened(one.job.init.scheme, one.outlook, one.reason, one.job.name in trained) for one in screened]
    names = ", ".join(one.job.init.scheme for one in promising)
    if promising:
        say(console, f"training {counted(len(promising), 'scheme')} at {counted(len(grid), 'learning rate')}: {names}")
    # What raised something does so at every rate; at one of them it stands in the study, as failed.
    chosen += [with_rate(job, grid[0], swept) for job in faulty]
    run_study(
        chosen,
        conclude=partial(_conclude, screened=rows, margin=jobs[0].config.margin),
        interest=Interest("best", tune=True),
    )


def _show_plan(jobs: Sequence[Job], baseline: Job | None, grid: Sequence[float], most: int, console: Console) -> None:
    """Say what would be looked at, and of that how much would be trained, without doing either."""
    names = sorted({job.init.scheme for job in jobs} | ({TORCH} if baseline else set()))
    say(console, f"schemes to look at: {', '.join(names)}")
    others = len(set(names) - {TORCH})
    which = f"the {most} most promising of them" if others > most else "those that fit"
    rates = ", ".join(rate_text(rate) for rate in grid)
    seeds = f"{counted(len(jobs[0].seeds), 'seed')} each{' at first' if jobs[0].looks > 1 else ''}"
    at = f"{counted(len(grid), 'learning rate')} ({rates})"
    say(console, f"to train then: {which}, and {TORCH}, at {at}, {seeds}")
    say(console, "nothing was looked at or trained")


def as_torch_does(job: Job) -> Job:
    """The job with torch's own initialization in place of its scheme: what a network has that nobody initializes."""
    shared = keys_of_all("init")
    init = {"name": TORCH} | {key: value for key, value in job.resolved["init"].items() if key in shared}
    resolved = {**job.resolved, "init": init}
    of_scheme = {"init", *(f"init.{key}" for key in job.resolved["init"] if key not in shared)}
    typed = (f"init={TORCH}", *(text for text in job.typed if key_of(text) not in of_scheme))
    return Job(short_name(typed, ()), parse_config(resolved), resolved, typed, job.seeds, job.looks)


def _look_at(jobs: Sequence[Job], baseline: Job | None, console: Console) -> tuple[list[ScreenedJob], list[Job]]:
    """Check jobs and look at their untrained networks, one scheme after another; those that do not fit are said.

    Args:
        jobs: One a scheme that was asked for.
        baseline: What these are compared with, if nobody asked for it.
        console: The terminal.

    Returns:
        What the jobs that can train look like, none if that is nobody but torch's own; and the jobs in which code of
        the user's own raised something.

    Raises:
        UserError: a job that cannot work, or none fits of those that were asked for.
    """
    screened: list[ScreenedJob] = []
    refused: dict[str, list[str]] = {}
    faulty: set[str] = set()
    every = [*jobs, *([baseline] if baseline else [])]
    with screening_bar(console, len(every)) as progress:
        for job in every:
            progress.start(job.init.scheme)
            checked = check_jobs([job])
            for reason, names in checked.refused.items():
                refused.setdefault(reason, []).extend(names)
            faulty |= checked.faulty.keys()
            screened += [_screen(one) for one in checked.usable]
            without = "failed" if checked.faulty else "left out"
            progress.finish(job.init.scheme, screened[-1].outlook if checked.usable else without)
    if all(one.job is baseline for one in screened):
        if not faulty:
            raise UserError("; ".join(refused))
        screened = []  # torch's own, alone, is no recommendation
    if len(refused) <= MOST_REASONS:
        show_refused(refused, console)
    else:
        by_name = {job.name: job.init.scheme for job in every}
        left = sorted({by_name[name] for names in refused.values() for name in names})
        say(console, f"left out, as they do not fit: {', '.join(left)}; init={left[0]} alone says why, and so for each")
    return screened, [job for job in every if job.name in faulty]


def split_jobs(jobs: Sequence[Job]) -> tuple[list[Job], list[float]]:
    """One job a scheme, and the learning rates that the jobs differ in; no rates where they do not.

    Raises:
        UserError: the jobs differ in something else.
    """
    others = {json.dumps(without_keys(job.resolved, FREE), sort_keys=True) for job in jobs}
    if len(others) > 1:
        raise UserError("recommend: takes one network and one data set; only init and optim.lr may have several values")
    distinct: dict[str, Job] = {}
    # Of a scheme's names its own, not an alias.
    for job in sorted(jobs, key=lambda job: f"init={job.config.init['name']}" not in job.name.split(",")):
        distinct.setdefault(json.dumps(job.config.init, sort_keys=True), job)
    rates = sorted({job.learning_rate for job in jobs})
    by_scheme = sorted(distinct.values(), key=lambda job: job.name)
    return by_scheme, rates if len(rates) > 1 else []


def _refuse_other_results(job: Job) -> None:
    """See that the folder of a recommendation holds no results of another network or other data.

    Raises:
        UserError: it does.
    """
    own = without_keys(job.resolved, FREE)
    for folder in finished_jobs(job.study_folder):
        if without_keys(read_config(folder), FREE) != own:
            raise UserError(f"{folder}: has another network or other data; choose another name=NAME")


def _screen(job: Job) -> ScreenedJob:
    """Probe a few of a job's networks; one that cannot be measured may train all the same."""
    try:
        with plain_warnings():
            probe = probe_job(job.with_seeds(range(job.config.seed, job.config.seed + SCREENING_SEEDS)))
    except Exception as error:  # whatever its network or initializer brings about, training says, too
        return ScreenedJob(job, "not measured", first_line(error), math.inf)
    verdict, start = judge(probe.signal, probe.lags), probe.first_loss
    reason = f"{verdict.reason}; {start}" if start is not None and start.far else verdict.reason
    return ScreenedJob(job, verdict.outlook, reason, unevenness(probe.signal))


def choose_promising(screened: Sequence[ScreenedJob], most: int) -> list[ScreenedJob]:
    """The schemes with the best outlook, those that keep signal and gradient first, and torch's own.

    Worse outlooks are taken only where fewer than two have a better one.

    Args:
        screened: One a scheme that fits the network.
        most: How many to choose, beside torch's own default.
    """
    ordered = sorted(screened, key=lambda one: (ORDER.index(one.outlook), one.unevenness))
    own = [one for one in ordered if one.job.init.scheme == TORCH]
    others = [one for one in ordered if one not in own]
    counts = [sum(one.outlook in ORDER[: place + 1] for one in others) for place in range(len(ORDER))]
    worst = next((place for place, count in enumerate(counts) if count >= 2), len(ORDER) - 1)
    return [one for one in others if one.outlook in ORDER[: worst + 1]][:most] + own


def rates_around(rate: float, count: int) -> list[float]:
    """Learning rates around one, as evenly spaced as factors are, in three digits."""
    if count == 1:
        return [rate]
    factors = np.logspace(-DECADES / 2, DECADES / 2, count)
    return [float(f"{rate * factor:.3g}") for factor in factors]


def with_rate(job: Job, rate: float, swept: Collection[str] = ()) -> Job:
    """A job at another learning rate, named and placed like one for which that rate was typed.

    Args:
        job: At any learning rate, typed or not.
        rate: The other one.
        swept: Keys in which the jobs of the command differ.
    """
    resolved = {**job.resolved, "optim": {**job.resolved["optim"], "lr": rate}}
    others = [text for text in job.typed if key_of(text) != "optim.lr"]
    typed = (*others, f"optim.lr={shortest(rate)}")
    name = short_name(typed, {*swept, "optim.lr"})
    return Job(name, parse_config(resolved), resolved, typed, job.seeds, job.looks)


def _conclude(folder: Path, console: Console, *, screened: Sequence[Screened], margin: float) -> None:
    """Write the report of a study with the recommendation first, and print that.

    Raises:
        UserError: the files cannot be written.
    """
    study = read_study(folder)
    if study.members.empty:
        return
    analysis = analyse(study, tune=True, margin=margin)
    schemes = study.members.drop_duplicates("job").set_index("job")["init"]
    names = {str(name): str(schemes[job]) for name, job in analysis.candidates[["candidate", "job"]].to_numpy()}
    simple = {name for name, scheme in names.items() if find_scheme(scheme).level == "weight"}
    choice = choose_candidate(analysis, simple)
    code, on_code = ("", "") if choice is None else _code_of(study.folders[str(choice.chosen["job"])])
    first = recommendation_section(analysis, choice, code, on_code)
    plain = compose_report(analysis, folder.name)
    publish(folder, study, analysis.summary, Report(plain.title, [first, screening_section(screened), *plain.sections]))
    for line in baseline_lines(study):
        say(console, line)
    for part in first.parts:
        match part:
            case Paragraph(text):
                say(console, f"\n{text}")
            case Code(text):
                say_as_is(console, "\n" + "\n".join(f"    {line}" for line in text.splitlines()) + "\n")
    say(console, f"In {folder}: report.html with the evidence, figures/, tables/, a folder a job")


def _code_of(job_folder: Path) -> tuple[str, str]:
    """Lines of Python that initialize a network as a finished job did; and what the names in them stand for."""
    config = read_config(job_folder)
    activation = {str(key): value for key, value in config["activation"].items() if key != "name"}
    code = code_for(config["init"], Activation(str(config["activation"]["name"]), activation))
    return code, words_on_batch(config["init"], config["data"], config.get("loss") or {})
