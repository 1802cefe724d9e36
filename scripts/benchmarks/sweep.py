"""Whole sweeps as processes: grids, many networks, workers, and what a job costs beside training."""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from initlab.base.threads import usable_cores
from initlab.tables.store import read_table
from scripts.benchmarks.timing import WINE_INITS, command


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
