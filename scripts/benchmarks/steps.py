"""A step of a cohort, compiled and not: processor time on one thread."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Final

import torch

from initlab.cohort.compiled import CompiledStep
from initlab.cohort.engines import VmapEngine
from initlab.cohort.networks import build_networks
from initlab.cohort.optimizers import CohortOptimizer
from initlab.cohort.recipe import Recipe
from initlab.data.tasks import TASKS
from initlab.jobs.share import Share
from initlab.modules.stack import stack_members
from scripts.benchmarks.timing import make_job

COHORTS: Final = (
    (10, "[10]"),
    (40, "[10]"),
    (400, "[10]"),
    (2000, "[10]"),
    (40, "[10,10,10,10,10,10]"),
    (400, "[32,32]"),
    (40, "[64,64]"),
    (400, "[64,64]"),
    (10, "[128,128,128]"),
)
SHORTEST: Final = 0.05  # seconds that are timed at least


def milliseconds(work: Callable[[], Any], runs: int) -> float:
    """The least processor time of a call, of several times that many calls take 50 ms."""
    work()
    start = time.process_time()
    work()
    calls = max(3, int(SHORTEST / (time.process_time() - start + 1e-6)))
    best = float("inf")
    for _ in range(runs):
        start = time.process_time()
        for _ in range(calls):
            work()
        best = min(best, (time.process_time() - start) / calls)
    return best * 1e3


def benchmark_steps(runs: int) -> dict[str, Any]:
    """Time steps of cohorts of classic_wine's data and optimizer with hidden layers of several sizes."""
    found = {}
    torch.set_num_threads(1)
    for members, hidden in COHORTS:
        job = make_job("experiment=classic_wine", f"seeds={members}", f"model.hidden={hidden}")
        train = job.dataset.train
        stack = stack_members(build_networks(Share(job, job.seeds)))
        optimizer = CohortOptimizer(job.config.optim, list(stack.parameters.values()), [0.01] * members)
        engine = VmapEngine(stack, job.loss, nullcontext)
        batches = torch.randint(len(train), (members, job.config.batch_size))

        def eager() -> None:
            engine.gradients(train, batches)  # noqa: B023  called at once
            optimizer.step()  # noqa: B023

        uncompiled = milliseconds(eager, 2 * runs)
        optimizer.keep_settings()
        start = time.process_time()
        step = CompiledStep(Recipe(stack, job.loss, TASKS[job.dataset.task], nullcontext, optimizer), train, batches)
        step(train, batches, None)
        took = time.process_time() - start
        compiled = milliseconds(lambda: step(train, batches, None), 2 * runs)  # noqa: B023
        found[f"{members} networks, hidden={hidden}"] = {
            "uncompiled, ms": round(uncompiled, 3),
            "compiled, ms": round(compiled, 3),
            "of uncompiled": round(compiled / uncompiled, 2),
            "members": "last" if step.members_last else "first",
            "compiling, seconds of this process": round(took, 1),
        }
    return found
