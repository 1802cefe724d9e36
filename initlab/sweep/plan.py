"""What a command asks for, what of it is left to do, and how that is shared out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from initlab.base.errors import OwnCodeError, UserError
from initlab.base.machine import trains_on_cuda
from initlab.base.wording import counted
from initlab.cohort.run import members_at_a_time
from initlab.config.names import NAMED_AFTER
from initlab.initializers.schemes.pretrained import where_found
from initlab.jobs.job import Job
from initlab.results.candidates import count_candidates
from initlab.results.comparison import count_pairs, seeds_needed
from initlab.results.differences import differing_keys, flat_config
from initlab.sweep import journal
from initlab.sweep.backends import workers_of
from initlab.sweep.checks import check_jobs
from initlab.sweep.cohorts import Cohort, form_cohorts, shares_of
from initlab.sweep.cost import Cost, costs_of, free_memory
from initlab.sweep.naming import Placed

# Starting a worker process takes a few seconds of a core. Where nobody said how many, less work than this stays here.
WORTH_WORKERS = 30.0
PROCESS_MEMORY = 700 * 2**20  # of a worker, before it trains


@dataclass(frozen=True)
class Plan:
    """What a command asks for, and what of it is left to do.

    Attributes:
        jobs: Jobs that are to be trained, each named after its folder.
        finished: Jobs that were found finished in the study's folder.
        refused: Names of jobs whose parts do not fit, or that lack a key, by the reason.
        faulty: Jobs in which code of the user's own raised something when they were checked, each with the error.
        notes: What a reader of the results must know: about data, folders, seeds and jobs left out.
    """

    jobs: list[Job]
    finished: list[Job]
    refused: Mapping[str, Sequence[str]]
    faulty: Sequence[tuple[Job, OwnCodeError]]
    notes: Sequence[str]


def make_plan(
    placed: Sequence[Placed],
    left_out: Mapping[str, Sequence[str]] = MappingProxyType({}),
    without_data: Sequence[tuple[Job, OwnCodeError]] = (),
) -> Plan:
    """See which jobs are finished, and check the others.

    Args:
        placed: The jobs of one command, each with its folder.
        left_out: Names of jobs that were not even made, by the reason.
        without_data: Jobs of which the user's own code that loads the data raised something.

    Raises:
        UserError: a job cannot work; or no job has an initializer and a network that fit.
    """
    jobs = [one.job for one in placed]
    faulty = list(without_data)
    resume = all(job.config.resume for job in jobs)
    finished = [one.job for one in placed if one.state == "finished" and resume]
    open_jobs = [one.job for one in placed if one.state != "finished" or not resume]
    checked = check_jobs(open_jobs)
    usable, refused = checked.usable, checked.refused
    faulty += [(job, checked.faulty[job.name]) for job in open_jobs if job.name in checked.faulty]
    if not usable and not finished and not faulty:
        others = f" (other jobs: {'; '.join(list(refused)[1:])})" if len(refused) > 1 else ""
        raise UserError(f"{next(iter(refused))}{others}")
    notes = [one.note for one in placed if one.note] + [_note(job) for job in usable] + checked.notes
    notes += too_few_seeds(jobs)
    if finished:
        are = "is" if len(finished) == 1 else "are"
        notes.append(f"{len(finished)} of {counted(len(jobs), 'job')} {are} finished already; resume=false trains anew")
    if refused:
        unfit = sum(map(len, refused.values()))
        notes.append(
            f"{unfit} of {len(jobs)} jobs are left out, whose initializer and network do not fit; why stands below"
        )
    for reason, names in left_out.items():
        notes.append(f"{reason}: {counted(len(names), 'job')} {'is' if len(names) == 1 else 'are'} left out")
    return Plan(usable, finished, {**refused, **left_out}, faulty, list(dict.fromkeys(notes)))


def too_few_seeds(jobs: Sequence[Job]) -> list[str]:
    """Say it beforehand if no difference between so many candidates can be significant with so few seeds.

    Args:
        jobs: All jobs of a command, those that are finished included.

    Returns:
        At most one sentence.
    """
    candidates = count_candidates(differing_keys({job.name: flat_config(job.resolved) for job in jobs}))
    pairs, seeds = count_pairs(candidates), max((len(job.seeds) for job in jobs), default=0)
    if not 1 < seeds < seeds_needed(pairs) or not pairs:
        return []
    return [
        f"{candidates} candidates make {counted(pairs, 'pair')}: {seeds} seeds are too few for a difference between "
        f"them to be significant; seeds={seeds_needed(pairs)} is the least"
    ]


@dataclass(frozen=True)
class Schedule:
    """Cohorts to train.

    Attributes:
        cohorts: In the order in which they start.
        workers: How many cohorts train at a time, at least 1.
        costs: What one member costs, by `Job.program`.
    """

    cohorts: list[Cohort]
    workers: int
    costs: Mapping[str, Cost]

    def memory(self, cohort: Cohort, *, cores: int | None) -> int:
        """Bytes that a cohort is expected to need.

        Args:
            cohort: One of `cohorts`.
            cores: CPU cores for the process that trains it; None: all that it may use.
        """
        job = cohort.shares[0].job
        cost = self.costs[job.program]
        threads = 1 if cost.vectorized else members_at_a_time(job, cohort.members, cores=cores)
        return cost.memory(cohort.members, threads=threads)

    @property
    def member_epoch_seconds(self) -> dict[str, float]:
        """By `Job.program`, what a member-epoch is expected to take, roughly."""
        return {
            cohort.shares[0].job.program: _seconds(cohort, self.costs) / cohort.member_epochs
            for cohort in reversed(self.cohorts)
        }

    @property
    def seconds(self) -> float:
        """What all of it is expected to take, very roughly: machines differ."""
        each = [_seconds(cohort, self.costs) for cohort in self.cohorts]
        return max(sum(each) / self.workers, *each, 0.0) if each else 0.0


def _seconds(cohort: Cohort, costs: Mapping[str, Cost]) -> float:
    """A rough guess of the seconds that a cohort takes on one core."""
    first = cohort.shares[0].job
    return costs[first.program].seconds(cohort.members, jobs=len({share.job.name for share in cohort.shares}))


def make_schedule(jobs: Sequence[Job]) -> Schedule:
    """Form cohorts of the members of some jobs that are not trained yet.

    A cohort that a former run was in the middle of stays as it was, so that its checkpoint fits.
    """
    if not jobs:
        return Schedule([], 1, {})
    kept = journal.kept_results(jobs[0].study_folder, jobs)
    done = {name: {seed for part in parts for seed in part.members["seed"]} for name, parts in kept.items()}
    missing = {job.name: (job, set(job.seeds) - done.get(job.name, set())) for job in jobs}
    most = jobs[0].config.max_members
    cohorts = [
        cohort
        for cohort in journal.interrupted_cohorts(jobs[0].study_folder, missing)
        if most == "auto" or cohort.members <= most
    ]
    for share in (share for cohort in cohorts for share in cohort.shares):
        missing[share.job.name][1].difference_update(share.seeds)
    shares = shares_of((job, seed) for job, seeds in missing.values() for seed in sorted(seeds))
    costs = costs_of(jobs)
    workers = _choose_workers(jobs, costs)
    cohorts += form_cohorts(shares, workers=workers, most=most_members(jobs, costs, workers))
    if workers > 1:  # the longest first, so that none is left alone in the end
        cohorts.sort(key=lambda cohort: -_seconds(cohort, costs))
    return Schedule(cohorts, min(workers, max(1, len(cohorts))), costs)


def _choose_workers(jobs: Sequence[Job], costs: Mapping[str, Cost]) -> int:
    """How many cohorts to train at a time, by the key `n_jobs`; on a cluster never more than it has workers.

    For `n_jobs=auto` on this machine it is 1 where worker processes would cost more than they gain.

    Args:
        jobs: Jobs that are to be trained; where and how, the configuration of the first says.
        costs: What one member costs, by `Job.program`.
    """
    config = jobs[0].config
    if config.backend != "loky":
        there = workers_of(config)
        return min(there, config.n_jobs) if isinstance(config.n_jobs, int) and config.n_jobs > 0 else there
    if config.n_jobs == -1:
        return workers_of(config)
    if isinstance(config.n_jobs, int):
        return config.n_jobs
    members: dict[str, int] = {}
    for job in jobs:
        members[job.program] = members.get(job.program, 0) + len(job.seeds)
    seconds = sum(costs[program].seconds(count) for program, count in members.items())
    divisible = len(members) > 1 or not all(cost.vectorized for cost in costs.values())
    if not divisible or seconds < WORTH_WORKERS:
        return 1
    return max(1, min(workers_of(config), free_memory("cpu") // (3 * PROCESS_MEMORY)))


def most_members(jobs: Sequence[Job], costs: Mapping[str, Cost], workers: int) -> dict[str, int]:
    """Members of the largest cohort of each program: as configured, or what half of the free memory holds.

    Args:
        jobs: Jobs of one sweep; the configuration of the first counts.
        costs: What one member costs, by `Job.program`.
        workers: How many cohorts share the memory.

    Returns:
        By `Job.program`, at least 1.
    """
    config = jobs[0].config
    if isinstance(config.max_members, int):
        return dict.fromkeys(costs, config.max_members)
    accelerator = config.trainer.accelerator
    free = free_memory(accelerator)
    share = free if trains_on_cuda(accelerator) else max(0, free - workers * PROCESS_MEMORY) / workers
    return {program: cost.most_members(share / 2) for program, cost in costs.items()}


def _note(job: Job) -> str:
    """What a reader of the results must know of the data."""
    data = job.dataset
    rows = (
        f"{len(data.test)} to test on; these validate, too (data.val_fraction=0): choose nothing by them"
        if data.validates_on_test
        else f"{len(data.val)} to validate, {len(data.test)} to test on"
    )
    note = f"{job.identity['data']}: {len(data.train)} rows to train on, {rows}."
    lines = [note, f"{job.identity['data']}: {data.note}" if data.note else "", _recipe(job), _checkpoint(job)]
    return "\n".join(line for line in lines if line)


def _checkpoint(job: Job) -> str:
    """Where in its file a network's weights were found, if not at its top."""
    if job.init.scheme != "pretrained":
        return ""
    place = where_found(job.init.parameters["path"], job.init.parameters.get("member"))
    return f"init.path={job.init.parameters['path']}: weights found there: {place}" if place else ""


def _recipe(job: Job) -> str:
    """By which recipe data of the user's own are trained, as nobody chose it for them; empty for other data."""
    path = str(job.config.data["_target_"])
    if path.startswith("initlab.") and path not in NAMED_AFTER:
        return ""
    names, config = job.identity, job.config
    return (
        f"{names['data']}: recipe: model={names['model']} activation={names['activation']} optim={names['optim']} "
        f"optim.lr={job.learning_rate:g} batch_size={config.batch_size} trainer.max_epochs={config.trainer.max_epochs}"
    )
