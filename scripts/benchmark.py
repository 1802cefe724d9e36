"""Measure initlab against what one would write instead, alternating in one run.

    python scripts/benchmark.py [wine] [mnist] [sweep] [probe] [start] [--runs 3] [--json outputs/benchmark.json]

wine   400 runs of experiment=classic_wine as whole processes, against (a) one Lightning run after another with a
       DataLoader and logging, (b) a bare PyTorch loop, both timed on a few runs and scaled, and (c) the floor: a
       hand-written batched-matmul loop of the same arithmetic, against the training part alone.
mnist  a member's epoch of experiment=classic_mnist in float32 and bfloat16, against a plain PyTorch loop over tensors
       in the default memory format, on all cores as torch uses them by default.
sweep  whole sweeps: a grid of learning rates against Hydra's basic launcher; ten times as many networks; two workers
       against one; and what a job costs beside composing and training.
probe  ten initializers of a network of 100 layers as a whole process; what recording the signal in every epoch adds to
       the training of 400 classic_wine networks; and the theory of every activation.
start  how long --help and --cfg job take.

Needs MNIST and the red wines where INITLAB_DATA points. Ratios are of medians; the machine is part of the output.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from initlab.activations import ACTIVATIONS, Activation
from initlab.base.console import quiet_libraries
from initlab.base.machine import describe_machine
from initlab.base.threads import usable_cores
from initlab.cohort.run import build_networks, train_cohort
from initlab.config.files import CONF
from initlab.config.plain import plain_config
from initlab.jobs.compose import job_from
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.tables.store import read_table
from initlab.theory.mean_field import mean_field_theory

WINE_RUNS, WINE_INITS = 400, "zeros,normal,xavier,he"
EPOCHS, BATCH, RATE = 50, 16, 0.01


def make_job(*overrides: str) -> Job:
    """Compose one job in this process, from overrides such as `experiment=classic_wine`."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        chosen = [*overrides, "logger=none", "name=benchmark"]
        return job_from(plain_config(compose("train", chosen), chosen))


def seconds(work: Callable[[], Any]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def train_all(job: Job, *callbacks: Callback) -> None:
    """Train a job's members, and write nothing."""
    share = Share(job, job.seeds)
    train_cohort([share], build_networks(share), callbacks)


def command(*arguments: str, module: str = "initlab.train") -> Callable[[], float]:
    """Make a function that runs python -m MODULE as a process and returns that process's peak memory in GiB.

    The process reads its own peak: the one that the system keeps of children includes what it was forked from.
    """
    script = (
        "import atexit, runpy, sys\n"
        "peak = lambda: next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "atexit.register(lambda: sys.stderr.write('\\n' + peak()))\n"
        f"sys.argv[0] = '{module}'\n"
        f"runpy.run_module('{module}', run_name='__main__')\n"
    )
    call = [sys.executable, "-c", script, *arguments]

    def run() -> float:
        said = subprocess.run(call, check=True, capture_output=True, text=True).stderr
        return int(said.rsplit("VmHWM:", 1)[1].split()[0]) / 2**20

    return run


class OneRun(pl.LightningModule):
    """What a tutorial writes: one network, trained by Lightning."""

    def __init__(self) -> None:
        super().__init__()
        self.net = wine_net()

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Loss of a batch."""
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        """Loss and accuracy of a batch."""
        logits = self.net(batch[0])
        self.log("val_loss", F.cross_entropy(logits, batch[1]))
        self.log("val_accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=RATE)


def wine_net() -> nn.Sequential:
    """The network of classic_wine."""
    return nn.Sequential(nn.Linear(11, 10), nn.ReLU(), nn.Linear(10, 3))


def lightning_run(job: Job) -> None:
    """Baseline (a): one run with Lightning, a DataLoader and a logger."""
    train, val = (TensorDataset(split.inputs, split.targets) for split in (job.dataset.train, job.dataset.val))
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            logger=CSVLogger(folder),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(OneRun(), DataLoader(train, BATCH, shuffle=True), DataLoader(val, 64))


def plain_run(job: Job) -> None:
    """Baseline (b): one run as a bare PyTorch loop over tensors."""
    train, val = job.dataset.train, job.dataset.val
    net = wine_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(train)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(train.inputs[batch]), train.targets[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            (net(val.inputs).argmax(1) == val.targets).float().mean().item()


def floor_run(job: Job, members: int) -> None:
    """Baseline (c): all runs as one hand-written loop of batched products, gradients by hand, nothing recorded."""
    train = job.dataset.train
    w1, b1 = torch.randn(members, 11, 10) * 0.4, torch.zeros(members, 1, 10)
    w2, b2 = torch.randn(members, 10, 3) * 0.4, torch.zeros(members, 1, 3)
    for _ in range(EPOCHS):
        order = torch.stack([torch.randperm(len(train)) for _ in range(members)])
        for batch in order.split(BATCH, dim=1):
            x, y = train.inputs[batch], train.targets[batch]
            hidden = torch.baddbmm(b1, x, w1).relu_()
            gradient = torch.baddbmm(b2, hidden, w2).softmax(-1)
            gradient.scatter_add_(2, y.unsqueeze(2), torch.full((*y.shape, 1), -1.0)).div_(batch.shape[1])
            back = torch.bmm(gradient, w2.transpose(1, 2)).mul_(hidden > 0)
            w2.baddbmm_(hidden.transpose(1, 2), gradient, alpha=-RATE)
            b2.sub_(gradient.sum(1, keepdim=True), alpha=RATE)
            w1.baddbmm_(x.transpose(1, 2), back, alpha=-RATE)
            b1.sub_(back.sum(1, keepdim=True), alpha=RATE)


def benchmark_wine(runs: int) -> dict[str, Any]:
    """Time classic_wine."""
    job = make_job("experiment=classic_wine", f"seeds={WINE_RUNS}")
    job.dataset  # noqa: B018  loaded before the clock starts
    torch.set_num_threads(1)
    samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        whole = command(
            "-m",
            "experiment=classic_wine",
            f"init={WINE_INITS}",
            f"seeds={WINE_RUNS // 4}",
            f"output_dir={folder}",
        )
        peak = whole()
        for _ in range(runs):
            sample = {
                "initlab, whole process": seconds(whole),
                "initlab, training": seconds(lambda: train_all(job)),
                "floor": seconds(lambda: floor_run(job, WINE_RUNS)),
                "lightning, scaled": seconds(lambda: lightning_run(job)) * WINE_RUNS,
                "plain, scaled": seconds(lambda: plain_run(job)) * WINE_RUNS,
            }
            for name, value in sample.items():
                samples.setdefault(name, []).append(value)
    median = {name: statistics.median(values) for name, values in samples.items()}
    process = median["initlab, whole process"]
    return {
        "seconds for 400 runs": median,
        "ratios": {
            "whole process, times faster than (a) Lightning": median["lightning, scaled"] / process,
            "whole process, times faster than (b) plain PyTorch": median["plain, scaled"] / process,
            "training, times the (c) floor": median["initlab, training"] / median["floor"],
        },
        "peak memory, GiB": peak,
    }


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


class EpochTimer(Callback):
    """Wall time of a cohort's one epoch, its validation included."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop it."""
        self.seconds = time.perf_counter() - self.start


def member_epoch(job: Job) -> float:
    """Seconds of one epoch of a job's cohort, divided by its members."""
    timer = EpochTimer()
    train_all(job, timer)
    return timer.seconds / len(job.seeds)


def benchmark_mnist(runs: int) -> dict[str, Any]:
    """Time classic_mnist."""
    settings = ("experiment=classic_mnist", f"seeds={2 * usable_cores()}", "trainer.max_epochs=1")
    jobs = {name: make_job(*settings, f"trainer.precision={name}") for name in ("32-true", "bf16-mixed")}
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
    }


def trained_seconds(folder: str) -> float:
    """Seconds that all members with tables below a folder trained, by their own account."""
    tables = (read_table(path.parent, "members") for path in Path(folder).rglob("members.parquet"))
    return float(sum(table["seconds"].sum() for table in tables))


def sweep_of(*arguments: str) -> tuple[float, float, float]:
    """Seconds of a sweep as a whole process, seconds of training in it, and its peak memory in GiB."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        peak = command("-m", *arguments, f"output_dir={folder}")()
        return time.perf_counter() - start, trained_seconds(folder), peak


def benchmark_sweep(runs: int) -> dict[str, Any]:
    """Time whole sweeps, alternating."""
    wine, inits = "experiment=classic_wine", f"init={WINE_INITS}"
    mnist = ("experiment=classic_mnist", inits, "seeds=2", "trainer.max_epochs=1")
    trivial = ("seeds=1", "trainer.max_epochs=1", inits)
    sweeps: dict[str, tuple[str, ...]] = {
        "grid, vectorized": (wine, inits, "optim.lr=logspace(-4,0,9)"),
        "grid, basic launcher": (wine, inits, "optim.lr=logspace(-4,0,9)", "hydra/launcher=basic"),
        "400 networks": (wine, inits, "seeds=100"),
        "4000 networks": (wine, inits, "seeds=1000"),
        "mnist, one worker": (*mnist, "n_jobs=1", "threads=1"),
        "mnist, one process with a thread a core": (*mnist, "n_jobs=1"),
        "mnist, a worker a core": (*mnist, f"n_jobs={usable_cores()}"),
        "4 trivial jobs": trivial,
        "1000 trivial jobs": (*trivial, "optim.lr=logspace(-4,-1,250)"),
    }
    samples = [{name: sweep_of(*arguments) for name, arguments in sweeps.items()} for _ in range(runs)]
    seconds_of, training_of, peak_of = (
        {name: statistics.median(sample[name][part] for sample in samples) for name in sweeps} for part in range(3)
    )
    extra = {name: seconds_of[name] - training_of[name] for name in sweeps}
    return {
        "seconds": seconds_of,
        "of these, training": training_of,
        "peak memory, GiB": peak_of,
        "ratios": {
            "grid, times faster than the basic launcher": seconds_of["grid, basic launcher"]
            / seconds_of["grid, vectorized"],
            "a network of 4000, of the time of one of 400": seconds_of["4000 networks"]
            / seconds_of["400 networks"]
            / 10,
            "mnist, a worker a core, times faster than one": seconds_of["mnist, one worker"]
            / seconds_of["mnist, a worker a core"],
        },
        "milliseconds a job beside training": (extra["1000 trivial jobs"] - extra["4 trivial jobs"]) / 996 * 1000,
    }


def benchmark_probe(runs: int) -> dict[str, Any]:
    """Time a probe of deep networks, recording while training, and the theory."""
    inits = "xavier,he,orthogonal,mean_field,lecun,torch_default,normal,xavier_uniform,he_uniform,lecun_uniform"
    deep = ("data=digits", "model=mlp", "model.depth=100", "model.width=256", "activation=tanh", f"init={inits}")
    probes, training = [], []
    jobs = [[make_job("experiment=classic_wine", f"init={name}", "seeds=100", f"signal.every={every}")
             for name in WINE_INITS.split(",")] for every in ("null", "1")]  # fmt: skip
    theory = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            probes.append(seconds(command(*deep, f"output_dir={folder}", module="initlab.probe")))
        training.append([seconds(lambda: train_cohort(shares, networks))  # noqa: B023  called at once
                         for shares, networks in map(built, jobs)])  # fmt: skip
        theory.append(seconds(lambda: [mean_field_theory(Activation(name), 1.5, 0.05) for name in ACTIVATIONS]))
    return {
        "seconds of 10 initializers x 10 seeds at depth 100, width 256, 256 rows, start to report": statistics.median(
            probes
        ),
        "recording every epoch, training takes times as long": statistics.median(b / a for a, b in training),
        "seconds of the theory of all activations": statistics.median(theory),
        "all samples": {"probe": probes, "training without and with": training, "theory": theory},
    }


def built(jobs: list[Job]) -> tuple[list[Share], list[nn.Module]]:
    """The shares of some jobs with all their seeds, and their networks."""
    shares = [Share(job, job.seeds) for job in jobs]
    return shares, [network for share in shares for network in build_networks(share)]


def benchmark_start(runs: int) -> dict[str, Any]:
    """Time what a user waits for before anything heavy is needed."""
    calls: Mapping[str, tuple[str, ...]] = {"--help": ("--help",), "--cfg job": ("--cfg", "job")}
    return {
        f"seconds of {name}": statistics.median(seconds(command(*arguments)) for _ in range(runs))
        for name, arguments in calls.items()
    }


BENCHMARKS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "wine": benchmark_wine,
    "mnist": benchmark_mnist,
    "sweep": benchmark_sweep,
    "probe": benchmark_probe,
    "start": benchmark_start,
}


def main() -> None:
    """Run the named benchmarks, print what they measured, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="wine|mnist|sweep|probe|start")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("outputs/benchmark.json"))
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    quiet_libraries()
    os.environ["PYTHONWARNINGS"] = "ignore"
    machine = describe_machine("cpu")
    result = {"machine": machine, "load at the start": os.getloadavg()}
    for name in options.names or BENCHMARKS:
        result[name] = BENCHMARKS[name](options.runs)
        sys.stdout.write(json.dumps({name: result[name]}, indent=2) + "\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"written to {options.json}\n")


if __name__ == "__main__":
    main()
