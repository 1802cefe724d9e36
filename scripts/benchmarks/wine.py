"""400 runs of classic_wine, against Lightning, a bare PyTorch loop, and hand-written batched products."""

import statistics
import tempfile
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from initlab.data.dataset import Split
from initlab.jobs.job import Job
from scripts.benchmarks.timing import WINE_INITS, command, make_job, seconds, train_all

WINE_RUNS = 400
EPOCHS, BATCH, RATE = 50, 16, 0.01
CHOICES = {"false": "uncompiled", "true": "compiled"}


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
    fit_one_run(job.dataset.train, job.dataset.val)


def fit_one_run(train_rows: Split, val_rows: Split) -> float:
    """Train one network by Lightning, and return its last accuracy on the rows to validate on."""
    train, val = (TensorDataset(split.inputs, split.targets) for split in (train_rows, val_rows))
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
    return float(trainer.callback_metrics["val_accuracy"])


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
    jobs = {
        choice: make_job("experiment=classic_wine", f"seeds={WINE_RUNS}", f"compile={choice}") for choice in CHOICES
    }
    for job in jobs.values():
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
        train_all(jobs["true"])  # compiles, and keeps the program on disk
        for _ in range(runs):
            sample = {
                "initlab, whole process": seconds(whole),
                **{
                    f"initlab, training, {of}": seconds(partial(train_all, jobs[choice]))
                    for choice, of in CHOICES.items()
                },
                "floor": seconds(lambda: floor_run(jobs["true"], WINE_RUNS)),
                "lightning, scaled": seconds(lambda: lightning_run(jobs["true"])) * WINE_RUNS,
                "plain, scaled": seconds(lambda: plain_run(jobs["true"])) * WINE_RUNS,
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
            **{
                f"training, {of}, times the (c) floor": median[f"initlab, training, {of}"] / median["floor"]
                for of in CHOICES.values()
            },
        },
        "peak memory, GiB": peak,
    }
