"""Measure what a report costs, as a whole process with its start.

    python scripts/benchmark_report.py [--runs 3] [--jobs 1000]

small  the report of the main command's sweep: 4 jobs × 10 seeds × 30 epochs.
large  generated tables of 1,000 jobs × 10 seeds × 50 epochs: 10 initializers × 10 activations × 10 learning rates.

The machine is part of the output.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path

import numpy as np
import pandas as pd

from initlab.base.machine import describe_machine
from initlab.tables.schema import HISTORY, MEMBERS
from initlab.tables.store import write_description, write_table

SEEDS, EPOCHS = 10, 50
# The process reads its own peak: the one that the system keeps of children includes what it was forked from.
MEASURED = (
    "import runpy, sys\n"
    "runpy.run_module('initlab.report', run_name='__main__', alter_sys=True)\n"
    "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr)\n"
)


def write_jobs(folder: Path, jobs: int) -> None:
    """Write the tables of many jobs, as a sweep would."""
    rng = np.random.default_rng(0)
    rates = np.logspace(-3, 0, 10)
    for init, activation, rate in islice(product(range(10), range(10), rates), jobs):
        best = 0.9 - 0.01 * init + 0.002 * activation - 0.05 * abs(np.log10(rate) + 1.5)
        scores = best + rng.normal(0, 0.01, SEEDS)
        curves = scores * (1 - np.exp(-np.arange(EPOCHS + 1) / 8))[:, None] + rng.normal(0, 0.003, (EPOCHS + 1, SEEDS))
        name = f"activation=a{activation},init=s{init},optim.lr={rate:.3g}"
        write_job(folder / name, {"init": f"s{init}", "activation": f"a{activation}"}, float(rate), curves)


def write_job(folder: Path, names: dict[str, str], rate: float, curves: np.ndarray) -> None:
    """Write one job's tables, made up from its validation scores.

    Args:
        folder: The folder of the job, which must be absent; its name is the job's.
        names: Names of init and activation, by group.
        rate: Learning rate, for the column lr and the key optim.lr.
        curves: Validation scores, shape (epochs + 1, seeds); the last are the test scores, too.
    """
    last = curves[-1]
    common = {"data": "made up", "model": "mlp", "optim": "sgd", **names}
    members = pd.DataFrame(
        {
            **dict.fromkeys(MEMBERS.names, 0.0),
            "job": folder.name,
            **common,
            "member": range(SEEDS),
            "seed": range(SEEDS),
            "lr": rate,
            "metric": "accuracy",
            "status": "finished",
            "diverged_epoch": pd.array([None] * SEEDS, dtype="Int64"),
            "epochs": EPOCHS,
            "val_score": last,
            "test_score": last,
            "test_loss": 1 - last,
            "threshold": 0.8,
            "epochs_to_threshold": pd.array(
                [int(reached.argmax()) if reached.any() else None for reached in (curves >= 0.8).T], dtype="Int64"
            ),
        }
    )
    epochs = np.repeat(np.arange(EPOCHS + 1), SEEDS)
    rows = {"job": folder.name, "member": np.tile(np.arange(SEEDS), EPOCHS + 1), "epoch": epochs, "metric": "accuracy"}
    score = curves.ravel()
    splits = [
        pd.DataFrame({**rows, "split": split, "loss": 1 - score, "score": score, "gradient_norm": 1.0})
        for split in ("train", "val")
    ]
    config = {group: {"name": name} for group, name in common.items()}
    config["optim"] |= {"lr": rate}  # type: ignore[dict-item]
    folder.mkdir(parents=True)
    write_description(folder, config, {"fingerprint": folder.name, "data_checksum": "made up"})
    write_table(folder, "history", pd.concat(splits)[HISTORY.names])
    write_table(folder, "members", members[MEMBERS.names])


def measure(study: Path, runs: int) -> dict[str, float]:
    """Median seconds and peak GiB of reports as processes of their own."""
    times, peaks = [], []
    for _ in range(runs):
        start = time.perf_counter()
        command = [sys.executable, "-c", MEASURED, str(study)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        times.append(time.perf_counter() - start)
        peaks.append(int(said.split()[-2]) / 2**20)
    return {"seconds": round(statistics.median(times), 1), "peak_gib": round(max(peaks), 2)}


def main() -> None:
    """Run the benchmark and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sweep = [
            sys.executable,
            "-m",
            "initlab.train",
            "-m",
            "name=main",
            "init=zeros,normal,xavier,he",
            "report=false",
        ]
        subprocess.run([*sweep, f"output_dir={folder}"], check=True, capture_output=True)
        write_jobs(Path(folder) / "large", arguments.jobs)
        found = {
            "machine": describe_machine("cpu"),
            "small": measure(Path(folder) / "main", arguments.runs),
            "large": {"jobs": arguments.jobs, **measure(Path(folder) / "large", arguments.runs)},
        }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
