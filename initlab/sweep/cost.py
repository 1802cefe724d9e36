"""What a job's members cost, estimated from a few rows: memory, which limits a cohort's size, and arithmetic."""

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from initlab.base.machine import device_name
from initlab.base.memory import room_for_workers
from initlab.base.threads import usable_cores
from initlab.cohort.engines import has_convolutions, has_dropout, is_large_step
from initlab.cohort.optimizers import CohortOptimizer
from initlab.config.schema import Config
from initlab.data.batches import BLOCK_STEPS, CHUNK_ROWS, MOST_KEPT, steps_per_epoch
from initlab.jobs.job import Job

BACKWARD = 2  # of what the forward pass keeps or computes, what the backward pass adds: as a rule
FLOPS_PER_SECOND = 2e10  # of a core, in products of the size that small networks have
# Building and writing, whatever trains. Measured on one core: 500 jobs of 2 members and one epoch of wine in one cohort
# took 13.5 s, and 20 cohorts of one such job 2.2 s. Most of what a job takes are the files of its logger.
SECONDS_PER_COHORT = 0.07
SECONDS_PER_JOB = 0.03
SECONDS_PER_STEP = 1.5e-3  # of a cohort, or under the loop engine of a member, before any arithmetic
SECONDS_PER_MEMBER = 2.3e-6  # of a step of a vectorized cohort, likewise: 1,000 networks of classic_wine

# Starting a worker process takes a few seconds of a core. Where nobody said how many, less work than this stays here.
WORTH_WORKERS: Final = 30.0
# Vectorized members of a cohort on a CPU: a step of twice as many takes twice as long, and leaves the other cores idle.
TOGETHER: Final = 1_000
# Of a compiled step that is so from here on; and it takes a third of the seconds that are estimated below. Where
# processes can be forks, it pays to share even 400 networks of classic_wine between two.
LEAST_TOGETHER: Final = 200
WORTH_FORKS: Final = 8.0
FORKS: Final = sys.platform == "linux"


@dataclass(frozen=True)
class Cost:
    """What one member costs.

    Attributes:
        state: Bytes it occupies as long as its cohort trains: weights, gradients, optimizer, what a block records.
        activations: Bytes that a training step or an evaluation needs on top.
        data: Bytes of each split beyond the first, where each seed has one of its own; members of equal seed share it.
        flops: Floating-point operations of its whole training, forward and backward.
        steps: Optimizer steps of its whole training.
        vectorized: Whether all members of a cohort go through a step together, or one after another; as far as can be
            told before the cohort is built.
        one_queue: Whether the loop engine works on one member at a time, whatever the threads: on a GPU, and with
            dropout, whose numbers come from one stream.
    """

    state: int
    activations: int
    flops: float
    steps: int
    vectorized: bool
    one_queue: bool = False
    data: int = 0

    def memory(self, members: int, *, threads: int = 1, splits: int = 1) -> int:
        """Bytes of a cohort, beyond what the process needs for itself and for the data.

        Args:
            members: Number of members in the cohort.
            threads: How many of them the loop engine works on at a time.
            splits: How many different seeds they have.
        """
        at_work = members if self.vectorized else min(members, 1 if self.one_queue else threads)
        return members * self.state + at_work * self.activations + splits * self.data

    def most_members(self, free: float, *, threads: int = 1) -> int:
        """Members, of whatever seeds, of the largest cohort whose `memory` fits into some bytes; at least 1.

        Args:
            free: Bytes that there are for it.
            threads: How many of its members the loop engine works on at a time.
        """
        threads = 1 if self.one_queue else threads
        state = self.state + self.data  # each member may have a seed of its own
        all_at_work = int(free / (state + self.activations))
        if self.vectorized or all_at_work < threads:
            return max(1, all_at_work)
        return max(1, int((free - threads * self.activations) / state))

    def seconds(self, members: int, *, jobs: int = 1) -> float:
        """A rough guess of the seconds that a cohort takes on one core, from building its members to writing its jobs.

        Args:
            members: Number of members in the cohort.
            jobs: Of how many jobs these are.
        """
        fixed = SECONDS_PER_COHORT + jobs * SECONDS_PER_JOB
        waiting = self.steps * (
            SECONDS_PER_STEP + members * SECONDS_PER_MEMBER if self.vectorized else members * SECONDS_PER_STEP
        )
        return fixed + waiting + members * self.flops / FLOPS_PER_SECOND


def cost_of(job: Job) -> Cost:
    """Send a few rows through one network of a job, and count bytes and operations.

    torch's random state stays as it was.
    """
    config, rows = job.config, job.dataset.train
    batch = min(config.batch_size, len(rows))
    inputs = rows.inputs[: min(batch, 4)].clone()  # not a view, whose storage would be all rows
    with torch.random.fork_rng(devices=[]):
        model = job.network.build().train()
        own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with (
            contextlib.suppress(Exception),  # a network that fails while it trains fails its own job, and not here
            FlopCounterMode(display=False) as counter,
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            model(inputs)
    per_row = sum(kept.values()) / len(inputs)
    parameters = sum(tensor.nbytes for tensor in model.parameters())
    buffers = sum(tensor.nbytes for tensor in model.buffers())
    per_epoch = steps_per_epoch(len(rows), batch)
    answers = job.dataset.input_shape[0] if job.dataset.task == "sequence" else 1  # a row
    of_step = batch * answers * (job.dataset.outputs + 1)
    recorded = 4 * max(of_step, min(MOST_KEPT, min(BLOCK_STEPS, per_epoch) * of_step))
    evaluated = min(max(CHUNK_ROWS, 4 * batch), max(len(job.dataset.val), len(job.dataset.test)))
    steps = config.trainer.max_epochs * per_epoch
    gathered = evaluated * rows.inputs[:1].nbytes if job.resplits else 0  # an evaluation's rows, each member's own
    splits = (job.dataset.train, job.dataset.val, job.dataset.test)[: 2 if job.dataset.validates_on_test else 3]
    of_row = counter.get_total_flops() / len(inputs)
    return Cost(
        # Weights, the networks that they come from, gradients, the copy from before a step; what is recorded, twice.
        state=(4 + _optimizer_states(job)) * parameters + buffers + 2 * recorded + gathered,
        activations=int(max((1 + BACKWARD) * batch, evaluated) * per_row),
        flops=of_row * (1 + BACKWARD) * batch * steps,
        steps=steps,
        vectorized=_runs_vectorized(job, model, of_row * batch),
        one_queue=device_name(config.trainer.accelerator) != "cpu" or has_dropout(model),
        data=sum(split.inputs.nbytes + split.targets.nbytes for split in splits) if job.resplits else 0,
    )


def _runs_vectorized(job: Job, model: nn.Module, flops: float) -> bool:
    """Whether a job's members train under vmap, given a network of the job, and what a batch costs on its way forth."""
    if job.config.engine == "auto":
        large = has_convolutions(model) or is_large_step(flops)
        return not (large and device_name(job.config.trainer.accelerator) == "cpu")
    return job.config.engine == "vmap"


def costs_of(jobs: Sequence[Job]) -> dict[str, Cost]:
    """The cost of one member, by `Job.program`; jobs that share a program are measured once."""
    return {program: cost_of(job) for program, job in {job.program: job for job in jobs}.items()}


def _optimizer_states(job: Job) -> int:
    """Numbers that the optimizer keeps for each weight."""
    weight = torch.ones(7, requires_grad=True)
    weight.grad = torch.ones(7)
    optimizer = CohortOptimizer(job.config.optim, [weight], [1.0])
    optimizer.step()
    return sum(
        tensor.numel() == 7 for tensor in optimizer.torch_optimizer.state[weight].values() if isinstance(tensor, Tensor)
    )


def most_together(config: Config, members: int, workers: int) -> int:
    """How many vectorized members a cohort has on a CPU, at most.

    Args:
        config: Of a job of theirs.
        members: How many there are of a program.
        workers: How many cohorts may train at a time.
    """
    if config.compile is True and FORKS and config.backend == "loky":
        return min(TOGETHER, max(LEAST_TOGETHER, ceil(members / workers)))
    return TOGETHER


def worth_workers(config: Config) -> float:
    """How many seconds of work are worth worker processes, where nobody said how many; as `Cost.seconds` has them."""
    return WORTH_FORKS if config.compile is True and FORKS else WORTH_WORKERS


def surely_workers(jobs: Sequence[Job]) -> int:
    """How many workers jobs will surely have on this machine's CPU, whatever their networks are; 1: perhaps none.

    Each program is a cohort or more, and has several where it has so many members that no cohort has them all.

    Args:
        jobs: Those of one command, of which none is another with other seeds, and none is trained.
    """
    config = jobs[0].config
    members: Counter[str] = Counter()
    steps: dict[str, int] = {}
    for job in jobs:
        members[job.program] += len(job.seeds)
        if job.program not in steps:
            rows, batch = len(job.dataset.train), job.config.batch_size
            steps[job.program] = steps_per_epoch(rows, batch) * job.config.trainer.max_epochs
    workers = usable_cores() if config.n_jobs in ("auto", -1) else int(config.n_jobs)
    cohorts = 0
    for count in members.values():
        most = most_together(config, count, workers) if config.max_members == "auto" else config.max_members
        cohorts += ceil(count / most)
    if isinstance(config.n_jobs, int):
        return min(workers, cohorts)
    least = sum(steps[name] * (SECONDS_PER_STEP + count * SECONDS_PER_MEMBER) for name, count in members.items())
    return min(workers, room_for_workers(), cohorts) if least >= worth_workers(config) else 1
