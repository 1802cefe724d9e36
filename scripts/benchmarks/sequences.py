"""Many small networks of sequences at once, against one network after another: recurrent cells, and a transformer."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.base.threads import usable_cores
from initlab.jobs.job import Job
from scripts.benchmarks.timing import EpochTimer, make_job, seconds, train_all

ADDING = ("data=adding", "data.rows=1563", "data.steps=50", "model.width=32", "batch_size=32")  # 1,000 to train on
TEXT = ("data=text", "data.max_characters=50000", "model=gpt", "batch_size=32")
MEMBERS, GPTS, SINGLES = 400, 8, 5


class TorchsOwn(nn.Module):
    """What one would write for a single network: torch's fused layer, and a linear one on the last state."""

    def __init__(self, kind: type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.layer, self.output = kind(2, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """One number a sequence."""
        answer: Tensor = self.output(self.layer(inputs)[0][:, -1])
        return answer


def plain_epoch(model: nn.Module, job: Job, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """One epoch of one network in a bare PyTorch loop over tensors, with its validation."""
    train, val = job.dataset.train, job.dataset.val
    optimizer = torch.optim.Adam(model.parameters(), lr=job.learning_rate)
    for batch in torch.randperm(len(train)).split(job.config.batch_size):
        optimizer.zero_grad()
        loss(model(train.inputs[batch]), train.targets[batch]).backward()
        if job.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), job.config.gradient_clip)
        optimizer.step()
    with torch.no_grad():
        for inputs in val.inputs.split(256):
            model(inputs)


def of_tokens(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy over all steps."""
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def cohort_epoch(job: Job) -> float:
    """Seconds of one epoch of a job's whole cohort, its validation included."""
    timer = EpochTimer()
    train_all(job, timer)
    return timer.seconds


def singles(build: Callable[[], nn.Module], job: Job, loss: Callable[[Tensor, Tensor], Tensor], *, count: int) -> float:
    """Seconds of an epoch of so many networks, one after another on all cores, by timing a few of them."""
    torch.set_num_threads(usable_cores())
    spent = [seconds(lambda: plain_epoch(build(), job, loss)) for _ in range(SINGLES)]
    torch.set_num_threads(1)
    return statistics.median(spent) * count


def benchmark_sequences(runs: int) -> dict[str, Any]:
    """Time an epoch of 1,000 sequences of the adding problem for 400 networks, and of a text for 8 transformers."""
    found: dict[str, Any] = {}
    for name, kind in (("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)):
        job = make_job(*ADDING, f"model={name}", f"seeds={MEMBERS}", "data.resplit=false", "trainer.max_epochs=1")
        own = lambda: job.build_member(job.members()[0])  # noqa: B023, E731  called at once
        torchs = lambda: TorchsOwn(kind)  # noqa: B023, E731
        samples = [
            (
                cohort_epoch(job),
                singles(own, job, F.mse_loss, count=MEMBERS),
                singles(torchs, job, F.mse_loss, count=MEMBERS),
            )
            for _ in range(runs)
        ]
        found[f"{MEMBERS} of {name}"] = _compared(samples, "the same cells", f"nn.{kind.__name__}")
    job = make_job(*TEXT, f"seeds={GPTS}", "trainer.max_epochs=1")
    parameters = sum(parameter.numel() for parameter in job.build_member(job.members()[0]).parameters())
    build = lambda: job.build_member(job.members()[0])  # noqa: E731
    pairs = [(cohort_epoch(job), singles(build, job, of_tokens, count=GPTS)) for _ in range(runs)]
    found[f"{GPTS} of gpt"] = {"parameters": parameters, **_compared(pairs, "the same network")}
    return found


def _compared(samples: Sequence[tuple[float, ...]], *others: str) -> dict[str, Any]:
    """Median seconds of an epoch, and how many times as long the others take: of medians."""
    cohort, *rest = (statistics.median(column) for column in zip(*samples, strict=True))
    by_name = {f"{name}, one by one": value for name, value in zip(others, rest, strict=True)}
    return {
        "seconds of an epoch": {"cohort": cohort, **by_name},
        "times faster": {f"than {name}": value / cohort for name, value in by_name.items()},
        "all samples": samples,
    }
