"""A probe of deep networks, recording the signal while training, and the theory of every activation."""

import statistics
import tempfile
from typing import Any

from initlab.activations import ACTIVATIONS, Activation
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.modules.stack import Network
from initlab.theory.mean_field import mean_field_theory
from scripts.benchmarks.timing import WINE_INITS, command, make_job, seconds


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


def built(jobs: list[Job]) -> tuple[list[Share], list[Network]]:
    """The shares of some jobs with all their seeds, and their networks."""
    shares = [Share(job, job.seeds) for job in jobs]
    return shares, [network for share in shares for network in build_networks(share)]
