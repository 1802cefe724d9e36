"""An epoch of classic_mnist in float32 and bfloat16, against a plain PyTorch loop."""

import statistics
import tempfile
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from initlab.base.threads import usable_cores
from initlab.jobs.job import Job
from scripts.benchmarks.timing import EpochTimer, command, make_job, seconds, train_all


def mnist_net() -> nn.Sequential:
    """The network of classic_mnist as a tutorial writes it: pools after the activations."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(576, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def plain_mnist_epoch(job: Job) -> None:
    """Baseline: one epoch, with validation, of a plain loop over tensors on all cores."""
    torch.set_num_threads(usable_cores())
    train, val = job.dataset.train, job.dataset.val
    net = mnist_net()
    optimizer = torch.optim.Adam(net.parameters())
    for batch in torch.randperm(len(train)).split(job.config.batch_size):
        optimizer.zero_grad()
        F.cross_entropy(net(train.inputs[batch]), train.targets[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        for images, labels in zip(val.inputs.split(1000), val.targets.split(1000), strict=True):
            (net(images).argmax(1) == labels).sum().item()
    torch.set_num_threads(1)


def member_epoch(job: Job) -> float:
    """Seconds of one epoch of a job's cohort, divided by its members."""
    timer = EpochTimer()
    train_all(job, timer)
    return timer.seconds / len(job.seeds)


def shares(job: Job) -> dict[str, float]:
    """What operations take of a cohort's processor time in training, as torch's profiler has it: those above 1 %."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        train_all(job)
    times = {one.key: one.self_cpu_time_total for one in found.key_averages()}
    whole = sum(times.values())
    return {name: time / whole for name, time in sorted(times.items(), key=lambda one: -one[1]) if time > 0.01 * whole}


def benchmark_mnist(runs: int) -> dict[str, Any]:
    """Time classic_mnist."""
    settings = ("experiment=classic_mnist", "trainer.max_epochs=1")
    precisions = ("32-true", "bf16-mixed")
    several = f"seeds={2 * usable_cores()}"
    jobs = {name: make_job(*settings, several, f"trainer.precision={name}") for name in precisions}
    samples: dict[str, list[float]] = {"plain": [], **{name: [] for name in jobs}}
    for _ in range(runs):
        for name, job in jobs.items():
            samples["plain"].append(seconds(lambda: plain_mnist_epoch(job)))  # noqa: B023  called at once
            samples[name].append(member_epoch(job))
    median = {name: statistics.median(values) for name, values in samples.items()}
    with tempfile.TemporaryDirectory() as folder:
        peak = command("experiment=classic_mnist", "trainer.max_epochs=1", f"output_dir={folder}")()
    return {
        "seconds of an epoch with validation, a network": median,
        "all samples": samples,
        "ratios": {
            "float32, times faster than plain PyTorch": median["plain"] / median["32-true"],
            "bfloat16, times faster than plain PyTorch": median["plain"] / median["bf16-mixed"],
        },
        "peak memory of 10 seeds, GiB": peak,
        "shares of a network's processor time": {
            name: shares(make_job(*settings, "seeds=1", "threads=1", f"trainer.precision={name}")) for name in jobs
        },
    }
