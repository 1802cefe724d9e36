"""What the benchmarks share: jobs, whole processes, and a clock."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import Callback

from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.config.files import CONF
from initlab.config.plain import plain_config
from initlab.jobs.compose import job_from
from initlab.jobs.job import Job
from initlab.jobs.share import Share

WINE_INITS = "zeros,normal,xavier,he"


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


class EpochTimer(Callback):
    """Wall time of a cohort's one epoch, its validation included."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Start the clock."""
        self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Stop it."""
        self.seconds = time.perf_counter() - self.start


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
