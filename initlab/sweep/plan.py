"""What a command asks for, what of it is left to do, and how that is shared out."""

import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from initlab.base.errors import OwnCodeError, UserError
from initlab.base.machine import trains_on_cuda
from initlab.base.memory import PROCESS_MEMORY, free_memory, room_for_workers
from initlab.base.threads import cores_of_process
from initlab.base.wording import counted
from initlab.config.names import NAMED_AFTER, key_of
from initlab.config.schema import Config
from initlab.initializers.schemes.pretrained import where_found
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.results.candidates import count_candidates
from initlab.results.confidence import ENOUGH_SEEDS, FEW_SEEDS
from initlab.results.differences import differing_keys, flat_config
from initlab.sweep import journal
from initlab.sweep.asking import Ask, ask_here
from initlab.sweep.checks import check_jobs
from initlab.sweep.cohorts import Cohort, form_cohorts, shares_of
from initlab.sweep.cost import Cost, costs_of, most_together, worth_workers
from initlab.sweep.naming import Placed
from initlab.tables.job_tables import JobTables


@dataclass(frozen=True)
class Plan:
    """What a command asks for, and what of it is left to do.

    Attributes:
        jobs: Jobs that are to be trained, each named after its folder, with the seeds that it lacks.
        finished: Jobs that were found finished in the study's folder, with all the seeds that are asked for.
        whole: Both, in the order of the command, each with all the seeds that are asked for.
        trained: By the name of a job, the seeds whose results were found, asked for or not.
        elsewhere: By the name of a job, other folders that have seeds which its own lacks, as `naming.Placed` has it.
        refused: Names of jobs whose parts do not fit, or that lack a key, by the reason.
        faulty: Jobs in which code of the user's own raised something when they were checked, each with the error.
        notes: What a reader of the results must know: about data, folders, seeds and jobs left out.
    """

    jobs: list[Job]
    finished: list[Job]
    whole: list[Job]
    trained: Mapping[str, frozenset[int]]
    elsewhere: Mapping[str, Sequence[Path]]
    refused: Mapping[str, Sequence[str]]
    faulty: Sequence[tuple[Job, OwnCodeError]]
    notes: Sequence[str]


def make_plan(
    placed: Sequence[Placed],
    left_out: Mapping[str, Sequence[str]],
    without_data: Sequence[tuple[Job, OwnCodeError]],
    *,
    ask: Ask = ask_here,
) -> Plan:
    """See which jobs are finished, and check the others.

    Args:
        placed: The jobs of one command, each with its folder.
        left_out: Names of jobs that were not even made, by the reason.
        without_data: Jobs of which the user's own code that loads the data raised something.
        ask: Whom to ask what takes what trains.

    Raises:
        UserError: a job cannot work; or no job has an initializer and a network that fit.
    """
    jobs = [one.job for one in placed]
    faulty = list(without_data)
    resume = all(job.config.resume for job in jobs)
    trained = {one.job.name: one.trained for one in placed if resume}
    open_jobs = lacking(jobs, trained)
    finished = [job for job in jobs if set(job.seeds) <= trained.get(job.name, frozenset())]
    checked = check_jobs(open_jobs, ask=ask)
    usable, refused = checked.usable, checked.refused
    faulty += [(job, checked.faulty[job.name]) for job in open_jobs if job.name in checked.faulty]
    if not usable and not finished and not faulty:
        others = f" (other jobs: {'; '.join(list(refused)[1:])})" if len(refused) > 1 else ""
        raise UserError(f"{next(iter(refused))}{others}")
    notes = [one.note for one in placed if one.note] + [line for job in usable for line in _notes(job)]
    notes += checked.notes
    notes += few_seeds([job.with_seeds([*job.seeds, *trained.get(job.name, ())]) for job in jobs])
    if finished and all(job.looks == 1 for job in jobs):  # else their first look alone is finished
        are = "is" if len(finished) == 1 else "are"
        notes.append(f"{len(finished)} of {counted(len(jobs), 'job')} {are} finished already; resume=false trains anew")
    notes += _extended([job for job in usable if trained.get(job.name)], trained)
    if refused:
        unfit = sum(map(len, refused.values()))
        notes.append(f"{unfit} of {len(jobs)} jobs are left out; why stands below")
    for reason, names in left_out.items():
        notes.append(f"{reason}: {counted(len(names), 'job')} {'is' if len(names) == 1 else 'are'} left out")
    able = {job.name for job in (*usable, *finished)}
    whole = [job for job in jobs if job.name in able]
    elsewhere = {one.job.name: one.elsewhere for one in placed if one.elsewhere and resume}
    return Plan(
        usable, finished, whole, trained, elsewhere, {**refused, **left_out}, faulty, list(dict.fromkeys(notes))
    )


def lacking(jobs: Sequence[Job], trained: Mapping[str, Collection[int]]) -> list[Job]:
    """Jobs that lack seeds which are asked for, each with those seeds alone.

    Args:
        jobs: With all the seeds that are asked for.
        trained: By the name of a job, the seeds that it has.
    """
    left = [(job, set(job.seeds).difference(trained.get(job.name, ()))) for job in jobs]
    return [job.with_seeds(seeds) for job, seeds in left if seeds]


def _extended(jobs: Sequence[Job], trained: Mapping[str, Collection[int]]) -> list[str]:
    """That some jobs are extended by more seeds, in a line.

    Args:
        jobs: With the seeds that they lack.
        trained: By the name of a job, the seeds that it has.
    """
    if not jobs:
        return []
    new, kept = sum(len(job.seeds) for job in jobs), sum(len(trained[job.name]) for job in jobs)
    more = f"{counted(new, 'network')} with new seeds {'is' if new == 1 else 'are'} added to {kept} that are kept"
    return [f"{counted(len(jobs), 'job')} {'is' if len(jobs) == 1 else 'are'} extended: {more}"]


def few_seeds(jobs: Sequence[Job]) -> list[str]:
    """Say it beforehand if so few seeds tell little of the differences between candidates.

    Args:
        jobs: All jobs of a command, those that are finished included.

    Returns:
        At most one sentence.
    """
    if not jobs or count_candidates(differing_keys({job.name: flat_config(job.resolved) for job in jobs})) < 2:
        return []
    seeds = max(len(job.seeds) for job in jobs)
    if seeds >= FEW_SEEDS:
        return []
    if seeds == 1:
        return [f"One seed tells nothing of how sure a difference is; seeds={ENOUGH_SEEDS} does"]
    return [f"{seeds} seeds tell little of how much seeds scatter; seeds={ENOUGH_SEEDS} tells more"]


@dataclass(frozen=True)
class Schedule:
    """Cohorts to train.

    Attributes:
        cohorts: In the order in which they start.
        workers: How many cohorts train at a time, at least 1.
        cores: CPU cores for each of these.
        costs: What one member costs, by `Job.program`.
        members: By `Job.program`, how many members all jobs of the command have, whatever is left of them.
    """

    cohorts: list[Cohort]
    workers: int
    cores: int
    costs: Mapping[str, Cost]
    members: Mapping[str, int]

    def memory(self, cohort: Cohort) -> int:
        """Bytes that one of its cohorts is expected to need."""
        threads = _most_threads(cohort.shares[0].job.config, self.cores)
        return self.costs[cohort.program].memory(cohort.members, threads=threads, splits=cohort.splits)

    @property
    def member_epoch_seconds(self) -> dict[str, float]:
        """By `Job.program`, what a member-epoch is expected to take, roughly."""
        return {
            cohort.program: _seconds(cohort, self.costs) / cohort.member_epochs for cohort in reversed(self.cohorts)
        }

    @property
    def seconds(self) -> float:
        """What all of it is expected to take, very roughly: machines differ."""
        each = [_seconds(cohort, self.costs) for cohort in self.cohorts]
        return max(sum(each) / self.workers, *each, 0.0) if each else 0.0


def _seconds(cohort: Cohort, costs: Mapping[str, Cost]) -> float:
    """A rough guess of the seconds that a cohort takes on one core."""
    jobs = len({share.job.name for share in cohort.shares})
    return costs[cohort.program].seconds(cohort.members, jobs=jobs)


def make_schedule(
    jobs: Sequence[Job],
    left: Sequence[Job],
    kept: Mapping[str, Sequence[JobTables]],
    *,
    most_workers: int,
    ask: Ask = ask_here,
) -> Schedule:
    """Form cohorts of the members that are not trained yet.

    On who trains beside whom, and on how many cores, the last bit of a result depends. So these follow from all that
    the command asks for, whatever is left of it: an interrupted sweep ends as one that was left alone.

    A cohort that a former run was in the middle of stays as it was, so that its checkpoint fits. What is then missing
    of a cohort of which something is there, as where a study is extended, forms cohorts anew.

    Args:
        jobs: All jobs of the command that can train, finished ones too, in its order, with all seeds asked for.
        left: Those of them that are to be trained, at least one, each with the seeds that it lacks.
        kept: By the name of a job, what is there of some of its members, as `journal.kept_results` finds it.
        most_workers: How many workers the backend can have.
        ask: Whom to ask what members cost.
    """
    config = jobs[0].config
    costs = ask(costs_of, list({job.program: job for job in jobs}.values()))
    members: Counter[str] = Counter()
    for job in jobs:
        members[job.program] += len(job.seeds)
    workers = _choose_workers(config, members, costs, most_workers)
    at_a_time = min(workers, _room_for_workers(config))
    form = partial(
        form_cohorts,
        workers=workers,
        most=most_members(jobs, costs, at_a_time, members, workers),
        vectorized={program for program, cost in costs.items() if cost.vectorized},
    )
    now = {job.name: job for job in left}
    whole = form([Share(now.get(job.name, job), job.seeds) for job in jobs])
    done = {name: {seed for part in parts for seed in part.members["seed"]} for name, parts in kept.items()}
    missing = {job.name: set(job.seeds) - done.get(job.name, set()) for job in left}
    cohorts: list[Cohort] = []
    for cohort in (*_interrupted(left, missing), *whole):
        if all(missing.get(share.job.name, set()).issuperset(share.seeds) for share in cohort.shares):
            cohorts.append(cohort)
            for share in cohort.shares:
                missing[share.job.name].difference_update(share.seeds)
    cohorts += form(shares_of((job, seed) for job in left for seed in sorted(missing[job.name])))
    if workers > 1:  # the longest first, so that none is left alone in the end
        cohorts.sort(key=lambda cohort: -_seconds(cohort, costs))
    cores = cores_of_process(min(workers, len(whole)), backend=config.backend)
    return Schedule(cohorts, min(at_a_time, len(cohorts)), cores, costs, members)


def _interrupted(left: Sequence[Job], missing: Mapping[str, Collection[int]]) -> list[Cohort]:
    """Cohorts that a former run was in the middle of, but for those that are larger than is allowed now."""
    most = left[0].config.max_members
    found = journal.interrupted_cohorts(left[0].study_folder, {job.name: (job, missing[job.name]) for job in left})
    return [cohort for cohort in found if most == "auto" or cohort.members <= most]


def _choose_workers(config: Config, members: Mapping[str, int], costs: Mapping[str, Cost], most: int) -> int:
    """How many cohorts to train at a time, by the key `n_jobs`; on a cluster never more than it has workers.

    For `n_jobs=auto` on this machine it is 1 where worker processes would cost more than they gain.

    Args:
        config: Where and how they train, of any job of the command.
        members: How many there are, by `Job.program`.
        costs: What one member costs, likewise.
        most: How many workers the backend can have.
    """
    if config.backend != "loky":
        return min(most, config.n_jobs) if isinstance(config.n_jobs, int) and config.n_jobs > 0 else most
    if config.n_jobs == -1:
        return most
    if isinstance(config.n_jobs, int):
        return config.n_jobs
    seconds = sum(costs[program].seconds(count) for program, count in members.items())
    divisible = (
        len(members) > 1
        or not all(cost.vectorized for cost in costs.values())
        or (
            not trains_on_cuda(config.trainer.accelerator)
            and any(count > most_together(config, count, most) for count in members.values())
        )
    )
    return most if divisible and seconds >= worth_workers(config) else 1


def _room_for_workers(config: Config) -> int:
    """How many worker processes there is memory for, where nobody said how many; at least 1."""
    if config.n_jobs != "auto" or config.backend != "loky":
        return sys.maxsize
    return room_for_workers()


def _most_threads(config: Config, cores: int) -> int:
    """How many members of a cohort the loop engine works on at a time, at most."""
    return cores if config.threads == "auto" else config.threads


def most_members(
    jobs: Sequence[Job], costs: Mapping[str, Cost], at_a_time: int, members: Mapping[str, int], workers: int
) -> dict[str, int]:
    """Members of the largest cohort of each program: as configured, or what half of the free memory holds.

    On a CPU no more than `most_together` are vectorized.

    Args:
        jobs: Jobs of one sweep; the configuration of the first counts.
        costs: What one member costs, by `Job.program`.
        at_a_time: How many cohorts share the memory.
        members: How many there are, by `Job.program`.
        workers: How many cohorts would train at a time, were there enough memory.

    Returns:
        By `Job.program`, at least 1.
    """
    config = jobs[0].config
    if isinstance(config.max_members, int):
        return dict.fromkeys(costs, config.max_members)
    accelerator = config.trainer.accelerator
    free = free_memory(accelerator)
    share = free if trains_on_cuda(accelerator) else max(0, free - at_a_time * PROCESS_MEMORY) / at_a_time
    threads = _most_threads(config, cores_of_process(at_a_time, backend=config.backend))
    most = {program: cost.most_members(share / 2, threads=threads) for program, cost in costs.items()}
    if trains_on_cuda(accelerator):
        return most
    return {
        program: min(count, most_together(config, members[program], workers)) if costs[program].vectorized else count
        for program, count in most.items()
    }


def _notes(job: Job) -> list[str]:
    """What a reader of the results must know of the data, a line each: jobs on the same data have most in common."""
    data, name = job.dataset, job.key_columns["data"]
    rows = "" if data.validates_on_test else f"{len(data.val)} to validate, "
    rows += f"{len(data.test)} to test on" + (", split anew for each seed" if job.resplits else "")
    if data.validates_on_test:
        rows += "; these validate, too (data.val_fraction=0): choose nothing by them"
    lines = [f"{name}: {len(data.train)} rows to train on, {rows}.", f"{name}: {data.note}" if data.note else ""]
    note = job.data.note(job.seeds)
    lines += [f"{name}: {note}" if note else "", _recipe(job), _checkpoint(job)]
    return [line for line in lines if line]


def _checkpoint(job: Job) -> str:
    """Where in its file a network's weights were found, if not at its top."""
    if job.init.scheme != "pretrained":
        return ""
    seen = (
        "; if they were trained on these data, they have seen rows that are tested on here: data.resplit=false for both"
        if job.resplits
        else ""
    )
    place = where_found(job.init.parameters["path"], job.init.parameters.get("member"))
    found = f"weights found there: {place}" if place else "weights of a former training" if seen else ""
    return f"init.path={job.init.parameters['path']}: {found}{seen}" if found else ""


def _recipe(job: Job) -> str:
    """By which recipe data of the user's own are trained, as far as nobody typed it; empty for other data."""
    path = str(job.config.data["_target_"])
    if path.startswith("initlab.") and not any(job.config.data.get(key) for key in NAMED_AFTER.get(path, ())):
        return ""
    typed = {key_of(text) for text in job.typed}
    typed |= {key.removesuffix("._target_") for key in typed}
    typed |= {"optim.lr"} if "optim" in typed else set()  # each optimizer brings a rate of its own
    names, config = job.key_columns, job.config
    recipe: dict[str, object] = {group: names[group] for group in ("model", "activation", "optim")}
    recipe |= {"optim.lr": f"{job.learning_rate:g}", "batch_size": config.batch_size}
    recipe |= {"trainer.max_epochs": config.trainer.max_epochs}
    said = " ".join(f"{key}={value}" for key, value in recipe.items() if key not in typed)
    return f"{names['data']}: recipe: {said}" if said else ""
