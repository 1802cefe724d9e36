"""initlab, JAX, Keras and plain Lightning on the same work."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import pandas as pd

from initlab.base.threads import usable_cores
from initlab.tables.store import read_table
from scripts.benchmarks.peers.arrays import write_arrays
from scripts.benchmarks.peers.environments import HERE, ROOT, python_of
from scripts.benchmarks.peers.measuring import Sample, alternate, medians, ratio, rounded, run_timed, scaled
from scripts.benchmarks.timing import WINE_INITS, make_job

WINE: Final = "experiment=classic_wine"
# What is compiled once and kept, what is compiled in every run, and what is not compiled.
COMPILING: Final = ("compile=true, warm cache", "compile=true, cold cache", "compile=false")
POLICIES: Final = {"32-true": "float32", "bf16-mixed": "mixed_bfloat16"}


class Bench:
    """Runs what is compared, with files in a folder that is deleted afterwards.

    Args:
        environments: Where the peers' environments are kept.
        folder: For data, caches and results.
    """

    def __init__(self, environments: Path, folder: Path) -> None:
        self._environments, self._folder = environments, folder
        self._numbers: Iterator[int] = count()

    def fresh(self) -> Path:
        """A path that nothing has been written to."""
        return self._folder / str(next(self._numbers))

    def data(self, experiment: str) -> Path:
        """The rows of an experiment, as arrays."""
        return write_arrays(make_job(experiment).dataset, self.fresh().with_suffix(".npz"))

    def peer(self, peer: str, script: str, *arguments: str | Path, **variables: str) -> dict[str, float]:
        """Run a peer's script in its environment, which nothing of ours is in."""
        command = [python_of(peer, self._environments), "-I", HERE / script, *arguments]
        return run_timed(command, {**os.environ, **variables})

    def ours(self, module: str, *arguments: str | Path, cache: str = "warm") -> dict[str, float]:
        """Run a module of this checkout in an environment with what it needs, and no more.

        What the compiler makes is kept from run to run or, with `cache="cold"`, is not.
        """
        kept = self._folder / "compiled" if cache == "warm" else self.fresh()
        variables = {
            "PYTHONPATH": str(ROOT),
            "TORCHINDUCTOR_CACHE_DIR": str(kept),
            "INITLAB_COMPILED": str(kept / "programs"),
        }
        python = python_of("initlab", self._environments)
        return run_timed([python, "-m", module, *arguments], {**os.environ, **variables})

    def whole(self, seeds: int, compiling: str, *more: str) -> dict[str, float]:
        """Run a sweep of classic_wine from the start of the process to its report."""
        setting, cache = _compiling(compiling)
        folder = self.fresh()
        arguments = ("-m", WINE, f"init={WINE_INITS}", f"seeds={seeds}", setting, f"output_dir={folder}", *more)
        found = self.ours("initlab.train", *arguments, cache=cache)
        members = pd.concat([read_table(path.parent, "members") for path in folder.rglob("members.parquet")])
        return {**found, "accuracy": float(members["test_score"].mean())}

    def training(self, seeds: int, compiling: str) -> dict[str, float]:
        """Train the networks of such a sweep, and write nothing."""
        setting, cache = _compiling(compiling)
        arguments = (WINE_INITS, WINE, f"seeds={seeds}", setting)
        return self.ours("scripts.benchmarks.peers.initlab_training", *arguments, cache=cache)

    def mnist(self, precision: str) -> dict[str, float]:
        """Train an epoch of classic_mnist with a network a core."""
        settings = ("experiment=classic_mnist", f"seeds={usable_cores()}", "trainer.max_epochs=1")
        return self.ours("scripts.benchmarks.peers.initlab_training", "he", *settings, f"trainer.precision={precision}")


def _compiling(name: str) -> tuple[str, str]:
    """The setting of one of `COMPILING`, and which cache it has."""
    setting, _, cache = name.partition(", ")
    return setting, cache.removesuffix(" cache") or "warm"


def benchmark_peers(runs: int, *, environments: Path, work: Sequence[str]) -> dict[str, Any]:
    """Time initlab and its peers.

    Args:
        runs: How often each is run.
        environments: Where the peers' environments are kept.
        work: On what, names of `WORK`.
    """
    for peer in ["initlab", *sorted({WORK[name].peer for name in work})]:
        python_of(peer, environments)  # before any clock starts
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(environments, Path(folder))
        return {WORK[name].title: WORK[name].time(bench, runs) for name in work}


def _wine(bench: Bench, runs: int) -> dict[str, Any]:
    data, seeds = bench.data(WINE), 100
    contestants: dict[str, Callable[[], Sample]] = {
        "JAX": lambda: bench.peer("jax", "jax_wine.py", data, str(seeds), bench.fresh().with_suffix(".npz")),
        "Lightning, a run × 400": lambda: scaled(
            bench.ours("scripts.benchmarks.peers.lightning_wine", data), 4 * seeds
        ),
    }
    for name in COMPILING:
        contestants[f"initlab, training, {name}"] = lambda name=name: bench.training(seeds, name)  # type: ignore[misc]
        contestants[f"initlab, whole, {name}"] = lambda name=name: bench.whole(seeds, name)  # type: ignore[misc]
    for fill_the_cache in (bench.training, bench.whole):
        fill_the_cache(seeds, COMPILING[0])
    median, samples = _measured(contestants, runs)
    jax, ratios = median["JAX"], {}
    for name in COMPILING:
        training, whole = median[f"initlab, training, {name}"], median[f"initlab, whole, {name}"]
        before = "training, compiled before"
        ratios[f"training, {name}, times JAX's with compiling"] = ratio(training, jax, "training")
        ratios[f"training, {name}, times JAX's without compiling"] = ratio(training, jax, "training", before)
        ratios[f"whole process, {name}, times JAX's"] = ratio(whole, jax, "whole")
        ratios[f"Lightning, times the whole process, {name}"] = ratio(
            median["Lightning, a run × 400"], whole, "training", "whole"
        )
    return _result(median, samples, ratios)


def _mnist(bench: Bench, runs: int) -> dict[str, Any]:
    data = bench.data("experiment=classic_mnist")
    contestants: dict[str, Callable[[], Sample]] = {}
    for precision, policy in POLICIES.items():
        contestants[f"Keras, {precision}"] = lambda policy=policy: bench.peer(  # type: ignore[misc]
            "keras", "keras_mnist.py", data, policy, KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3"
        )
        contestants[f"initlab, {precision}"] = lambda precision=precision: bench.mnist(precision)  # type: ignore[misc]
    median, samples = _measured(contestants, runs)
    ratios = {
        f"a network's epoch, {precision}, times Keras'": ratio(
            median[f"initlab, {precision}"], median[f"Keras, {precision}"], "last epoch of a member", "training"
        )
        for precision in POLICIES
    }
    ratios["a network's epoch, initlab in bf16-mixed, times Keras' in float32"] = ratio(
        median["initlab, bf16-mixed"], median["Keras, 32-true"], "last epoch of a member", "training"
    )
    return _result(median, samples, ratios)


def _large(bench: Bench, runs: int) -> dict[str, Any]:
    data, seeds, name = bench.data(WINE), 1000, COMPILING[0]
    threads = {"initlab, threads=auto": (), "initlab, threads=1": ("threads=1",)}
    contestants: dict[str, Callable[[], Sample]] = {
        "JAX": lambda: bench.peer("jax", "jax_wine.py", data, str(seeds), bench.fresh().with_suffix(".npz"))
    }
    for own, settings in threads.items():
        contestants[own] = lambda settings=settings: bench.whole(seeds, name, *settings)  # type: ignore[misc]
    bench.whole(seeds, name, "threads=1")  # fill the cache
    median, samples = _measured(contestants, runs)
    ratios = {f"whole process, {own}, times JAX's": ratio(median[own], median["JAX"], "whole") for own in threads}
    return _result(median, samples, ratios)


@dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
        title: What it is called in the results.
        peer: Whose environment it needs.
        time: Times it, so many times.
    """

    title: str
    peer: str
    time: Callable[[Bench, int], dict[str, Any]]


WORK: Final[Mapping[str, Work]] = {
    "400": Work("400 of classic_wine", "jax", _wine),
    "4000": Work("4,000 of classic_wine", "jax", _large),
    "mnist": Work("an epoch of classic_mnist", "keras", _mnist),
}


def _measured(
    contestants: Mapping[str, Callable[[], Sample]], runs: int
) -> tuple[dict[str, dict[str, float]], dict[str, list[Sample]]]:
    samples = alternate(contestants, runs)
    return medians(samples), samples


def _result(
    median: Mapping[str, Sample], samples: Mapping[str, list[Sample]], ratios: Mapping[str, Sample]
) -> dict[str, Any]:
    return {
        "seconds": {name: rounded(sample) for name, sample in median.items()},
        "ratios": {name: rounded(sample) for name, sample in ratios.items()},
        "all samples": samples,
        "load at the end": os.getloadavg(),
    }
