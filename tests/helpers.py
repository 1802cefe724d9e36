"""Ways into the program that several tests take."""

import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import lightning.pytorch as pl
import pytest
from hydra import compose, initialize_config_dir
from torch import nn

from initlab.base.threads import intra_op_threads
from initlab.cli.apps import train as main
from initlab.cohort.module import CohortModule, Training
from initlab.cohort.run import build_trainer, fit
from initlab.config.files import CONF
from initlab.config.plain import plain_config
from initlab.data.module import InMemoryData
from initlab.jobs.compose import job_from
from initlab.jobs.job import Job
from initlab.jobs.member import Member
from initlab.modules.stack import stack_members

Kind = TypeVar("Kind", bound=nn.Module)


def layer(model: nn.Module, name: int | str, kind: type[Kind]) -> Kind:
    """A layer of a network by its name or place, of the kind that it is."""
    found = model.get_submodule(str(name))
    assert isinstance(found, kind)
    return found


def linear(model: nn.Module, name: int | str) -> nn.Linear:
    """A linear layer of a network by its name or place."""
    return layer(model, name, nn.Linear)


def make_job(*overrides: str, output_dir: Path | None = None, config: str = "train") -> Job:
    """Compose a job as the command line would; without a logger unless one is asked for."""
    chosen = [*overrides, "name=test", f"output_dir={output_dir or 'outputs'}"]
    if not any(override.startswith("logger=") for override in chosen):
        chosen.append("logger=none")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return job_from(plain_config(compose(config, chosen), list(overrides)))


def train(
    job: Job, members: Sequence[Member] | None = None, *, threads: int = 1, callbacks: Sequence[pl.Callback] = ()
) -> CohortModule:
    """Train some members of a job, by default all, and return the module with what they became."""
    chosen = list(members if members is not None else job.members())
    stack = stack_members(job.build_member(member) for member in chosen)
    training = Training(
        optim=job.config.optim,
        learning_rates=[member.learning_rate for member in chosen],
        rate_factors=[job.network.rate_factors for _ in chosen],
        gradient_clip=job.config.gradient_clip,
        engine=job.config.engine,
        compile=job.config.compile,
        threads=threads,
        loss=job.loss,
        scheduler=job.scheduler,
        stopping=job.config.early_stopping,
    )
    seeds = [member.seed for member in chosen]
    module = CohortModule(stack, job.data.stacked(seeds), training)
    data = InMemoryData(job.dataset, batch_size=job.config.batch_size, seeds=seeds)
    with intra_op_threads(1):
        fit(build_trainer(job, callbacks), module, data)
    return module


def interruptible() -> None:
    """Before a command starts: let it hear Ctrl-C, though these tests may run where that is ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


QUICK = "seeds=3 trainer.max_epochs=2 logger=none report=false name=study"


def run(command: str, monkeypatch: pytest.MonkeyPatch, folder: Path, *, program: Callable[[], None] = main) -> int:
    """Run `python -m initlab.train COMMAND`, or another program, here and from a folder; return its exit code.

    Without a report, which takes seconds, unless the command asks for one.
    """
    if program is main and "report=" not in command:
        command += " report=false"
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [program.__module__, *shlex.split(command)])
    try:
        program()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
