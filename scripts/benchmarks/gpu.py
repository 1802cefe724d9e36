"""Cohorts on a GPU, compiled and not, against single networks one after another on the same GPU."""

import statistics
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from initlab.base.errors import UserError
from initlab.jobs.job import Job
from scripts.benchmarks.mnist import mnist_net
from scripts.benchmarks.timing import make_job, seconds, train_all
from scripts.benchmarks.wine import wine_net

ON_GPU = "trainer.accelerator=cuda"
WORKS = {
    "400 of classic_wine": ("experiment=classic_wine", "seeds=400"),
    "10,000 of classic_wine": ("experiment=classic_wine", "seeds=10000", "trainer.max_epochs=5"),
    "100 of classic_mnist, one epoch": ("experiment=classic_mnist", "seeds=100", "trainer.max_epochs=1"),
}
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


def benchmark_gpu(runs: int) -> dict[str, Any]:
    """Time cohorts on the GPU.

    Raises:
        UserError: there is none.
    """
    if not torch.cuda.is_available():
        raise UserError("benchmark gpu: no CUDA device here")
    found: dict[str, Any] = {"card": torch.cuda.get_device_name()}
    for name, settings in WORKS.items():
        jobs = {choice: make_job(*settings, ON_GPU, f"compile={choice}") for choice in ("false", "true")}
        samples: dict[str, list[float]] = {choice: [] for choice in (*jobs, "one by one")}
        for job in jobs.values():  # what a first run has to load and to compile
            train_all(job)
        for _ in range(runs):
            for choice, job in jobs.items():
                samples[choice].append(seconds(lambda: train_all(job)))  # noqa: B023  called at once
            job = jobs["false"]
            net = mnist_net() if "mnist" in name else wine_net()
            samples["one by one"].append(single_run(job, net) * len(job.seeds))
        median = {choice: statistics.median(values) for choice, values in samples.items()}
        found[name] = {
            "seconds": median,
            "compiled, of uncompiled": median["true"] / median["false"],
            "one by one, of uncompiled": median["one by one"] / median["false"],
        }
    return found
