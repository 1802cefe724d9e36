"""Cohorts on a GPU, compiled and not, against JAX and single networks one after another on the same GPU."""

import os
import statistics
import sys
import tempfile
from collections import defaultdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from initlab.base.errors import UserError
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from scripts.benchmarks.mnist import mnist_net
from scripts.benchmarks.peers.arrays import write_arrays
from scripts.benchmarks.peers.environments import HERE
from scripts.benchmarks.peers.measuring import run_timed
from scripts.benchmarks.timing import make_job, seconds
from scripts.benchmarks.wine import wine_net

ON_GPU = "trainer.accelerator=cuda"
WORKS = {
    "400 of classic_wine": ("experiment=classic_wine", "seeds=400"),
    "10,000 of classic_wine": ("experiment=classic_wine", "seeds=10000", "trainer.max_epochs=5"),
    "100 of classic_mnist, one epoch": ("experiment=classic_mnist", "seeds=100", "trainer.max_epochs=1"),
}
Samples = dict[str, list[float]]
STEPS = 200  # of a single network that are timed, and scaled to all of its training


def single_run(job: Job, network: nn.Module) -> float:
    """Seconds that one network would take in a bare loop on the GPU, from a part of its steps."""
    train, size = job.dataset.train, job.config.batch_size
    inputs, targets, net = train.inputs.cuda(), train.targets.cuda(), network.cuda()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    order = torch.randint(len(train), (STEPS, size), device="cuda")

    def loop() -> None:
        for batch in order:
            optimizer.zero_grad()
            F.cross_entropy(net(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        torch.cuda.synchronize()

    loop()
    steps = job.config.trainer.max_epochs * -(-len(train) // size)
    return seconds(loop) / STEPS * steps


def training_seconds(job: Job) -> float:
    """Seconds that a job's networks, built before, train."""
    share = Share(job, job.seeds)
    networks = build_networks(share)
    return seconds(partial(train_cohort, [share], networks))


def jax_run(job: Job) -> dict[str, float]:
    """Seconds that JAX trains as many networks of classic_wine for as many epochs on the GPU."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_arrays(job.dataset, Path(folder) / "data.npz")
        given = (str(len(job.seeds) // 4), Path(folder) / "history.npz", str(job.config.trainer.max_epochs))
        variables = {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        return run_timed([sys.executable, "-I", HERE / "jax_wine.py", data, *given], {**os.environ, **variables})


def benchmark_gpu(runs: int) -> dict[str, Any]:
    """Time cohorts on the GPU, beside JAX where this interpreter has it.

    Raises:
        UserError: there is none.
    """
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu: no CUDA device here")
    found: dict[str, Any] = {"card": torch.cuda.get_device_name()}
    for name, settings in WORKS.items():
        jobs = {choice: make_job(*settings, ON_GPU, f"compile={choice}") for choice in ("false", "true")}
        samples = defaultdict[str, list[float]](list)

        def note(what: str, took: float, work: str = name, samples: Samples = samples) -> None:
            sys.stderr.write(f"{work}, {what}: {took:.3g} s\n")
            samples[what].append(took)

        for choice, job in jobs.items():
            note(f"compile={choice}, the first", training_seconds(job))
        for _ in range(runs):
            for choice, job in jobs.items():
                note(f"compile={choice}", training_seconds(job))
            net = mnist_net() if "mnist" in name else wine_net()
            note("one by one", single_run(job, net) * len(job.seeds))
            if "wine" in name and find_spec("jax") is not None:
                jax = jax_run(job)
                note("JAX with compiling", jax["training"])
                note("JAX, compiled before", jax["training, compiled before"])
        median = {what: statistics.median(values) for what, values in samples.items()}
        found[name] = {
            "seconds": median,
            "times compile=true": {what: value / median["compile=true"] for what, value in median.items()},
            "all seconds": samples,
        }
    return found
