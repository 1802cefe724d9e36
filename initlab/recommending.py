"""Recommending an initialization: look at all schemes, train the promising ones, and say which to use."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter
from pathlib import Path

import numpy as np
from rich.console import Console

from initlab.config import NOT_IDENTITY, parse_config, without_keys
from initlab.console import open_console, plain_warnings, quiet_libraries, say
from initlab.errors import UserError, counted, first_line
from initlab.initializers import find_scheme
from initlab.jobs import Job
from initlab.probing import probe_job
from initlab.reporting.document import Code, Paragraph, Report
from initlab.reporting.recommendation import TORCH, Screened, recommendation_section, screening_section
from initlab.reporting.sections import compose_report
from initlab.results.analysis import analyse
from initlab.results.recommendation import choose_candidate
from initlab.results.store import finished_jobs, read_config
from initlab.results.study import read_study
from initlab.signal.verdict import judge, unevenness
from initlab.study import publish, run_study
from initlab.sweep.checks import distinct_jobs, usable_jobs
from initlab.terminal import show_refused

SCREENING_SEEDS = 3
DECADES = 3  # that the grid of learning rates spans
FREE = {*NOT_IDENTITY, "init", "optim.lr"}  # keys in which the jobs of a recommendation may differ
ORDER = ("trainable", "not measured", "hard to train", "not trainable")


@dataclass(frozen=True)
class Look:
    """A scheme's job, and what its untrained networks look like."""

    job: Job
    outlook: str
    reason: str
    unevenness: float


def run_recommend(jobs: Sequence[Job]) -> None:
    """Recommend an initializer among those of some jobs of one network on one data set.

    Raises:
        UserError: jobs that differ in more than initializer and learning rate, or none can be trained.
        JobsFailedError: at the end, if some jobs failed.
    """
    console = open_console()
    quiet_libraries()
    by_scheme, rates = split_jobs(distinct_jobs(jobs))
    usable, refused = usable_jobs(by_scheme)
    if not usable:
        raise UserError("; ".join(refused))
    show_refused(refused, console)
    refuse_other_results(usable[0])
    say(console, f"looking at {counted(len(usable), 'scheme')} before training")
    looks = [look_at(job) for job in usable]
    settings = usable[0].config.recommend
    promising = choose_promising(looks, int(settings["schemes"]))
    grid = rates or rates_around(float(usable[0].config.optim["lr"]), int(settings["rates"]))
    chosen = [with_rate(look.job, rate) for look in promising for rate in grid]
    trained = {look.job.name for look in promising}
    screened = [Screened(look.job.init.scheme, look.outlook, look.reason, look.job.name in trained) for look in looks]
    names = ", ".join(look.job.init.scheme for look in promising)
    say(console, f"training {counted(len(promising), 'scheme')} at {counted(len(grid), 'learning rate')}: {names}")
    run_study(chosen, reporting=partial(say_recommendation, screened=screened))


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
    rates = sorted({float(job.config.optim["lr"]) for job in jobs})
    by_scheme = sorted(distinct.values(), key=lambda job: job.name)
    return by_scheme, rates if len(rates) > 1 else []


def refuse_other_results(job: Job) -> None:
    """See that the folder of a recommendation holds no results of another network or other data.

    Raises:
        UserError: it does.
    """
    own = without_keys(job.resolved, {*FREE, "seeds"})
    for folder in finished_jobs(job.study):
        if without_keys(read_config(folder), {*FREE, "seeds"}) != own:
            raise UserError(f"{folder}: has another network or other data; choose another name=NAME")


def look_at(job: Job) -> Look:
    """Probe a few of a job's networks; one that cannot be measured may train all the same."""
    try:
        with plain_warnings():
            signal = probe_job(replace(job, config=replace(job.config, seeds=SCREENING_SEEDS))).signal
    except Exception as error:  # whatever its network or initializer brings about, training says, too
        return Look(job, "not measured", first_line(error), math.inf)
    verdict = judge(signal)
    return Look(job, verdict.outlook, verdict.reason, unevenness(signal))


def choose_promising(looks: Sequence[Look], most: int) -> list[Look]:
    """The schemes with the best outlook, those that keep signal and gradient first, and torch's own.

    Worse outlooks are taken only where fewer than two have a better one.

    Args:
        looks: Of all schemes that fit.
        most: How many to choose, beside torch's own default.
    """
    ordered = sorted(looks, key=lambda look: (ORDER.index(look.outlook), look.unevenness))
    own = [look for look in ordered if look.job.init.scheme == TORCH]
    others = [look for look in ordered if look not in own]
    counts = [sum(look.outlook in ORDER[: place + 1] for look in others) for place in range(len(ORDER))]
    worst = next((place for place, count in enumerate(counts) if count >= 2), len(ORDER) - 1)
    return [look for look in others if look.outlook in ORDER[: worst + 1]][:most] + own


def rates_around(rate: float, count: int) -> list[float]:
    """Learning rates around one, as evenly spaced as factors are, in three digits."""
    if count == 1:
        return [rate]
    factors = np.logspace(-DECADES / 2, DECADES / 2, count)
    return [float(f"{rate * factor:.3g}") for factor in factors]


def with_rate(job: Job, rate: float) -> Job:
    """A job at another learning rate."""
    resolved = {**job.resolved, "optim": {**job.resolved["optim"], "lr": rate}}
    parts = [part for part in job.name.split(",") if not part.startswith("optim.lr=")]
    return Job(",".join(sorted([*parts, f"optim.lr={rate:g}"])), parse_config(resolved), resolved)


def say_recommendation(study: Path, console: Console, *, screened: Sequence[Screened]) -> None:
    """Write the report with the recommendation first, and print that.

    Raises:
        UserError: the files cannot be written.
    """
    found = read_study(study)
    if found.members.empty:
        return
    analysis = analyse(found)
    schemes = analysis.study.members.drop_duplicates("job").set_index("job")["init"]
    names = {str(name): str(schemes[job]) for name, job in analysis.candidates[["candidate", "job"]].to_numpy()}
    simple = {name for name, scheme in names.items() if find_scheme(scheme).level == "weight"}
    recommended = choose_candidate(analysis, simple)
    code = "" if recommended is None else code_for(found.configs[str(recommended.chosen["job"])])
    first = recommendation_section(analysis, recommended, code)
    whole = compose_report(analysis, study.name)
    report = Report(whole.title, [first, screening_section(screened), *whole.sections])
    publish(study, found, analysis.summary, report)
    for part in first.parts:
        match part:
            case Paragraph(text):
                say(console, f"\n{text}")
            case Code(text):
                say(console, "\n" + "\n".join(f"    {line}" for line in text.splitlines()) + "\n")
    say(console, f"In {study}: report.html with the evidence, figures/, tables/, a folder a job")


def code_for(config: Mapping[str, object]) -> str:
    """Two lines of Python that initialize a network as a job did.

    Args:
        config: Flat configuration of the job.
    """
    scheme = find_scheme(str(config["init.name"]))
    arguments = [f'"{scheme.name}"']
    given = {key.removeprefix("init."): value for key, value in config.items() if key.startswith("init.")}
    for key, value in given.items():
        default = scheme.defaults.get(key, None)
        if key != "name" and value is not None and (default is Parameter.empty or value != default):
            arguments.append(f"{key}={value!r}")
    if "activation" in scheme.supplied or given.get("gain") == "moment":
        arguments.append(f"activation={str(config['activation.name'])!r}")
    if "loss" in scheme.needs:
        arguments.append("batch=(inputs, targets), loss=loss")
    elif "batch" in scheme.needs:
        arguments.append("batch=inputs")
    return f"import initlab\ninitlab.initialize(model, {', '.join(arguments)}, seed=0)"
