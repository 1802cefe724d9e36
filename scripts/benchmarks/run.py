"""The benchmarks by their names, and the command that runs them."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from initlab.base.console import quiet_libraries
from initlab.base.errors import UserError
from initlab.base.machine import describe_machine
from scripts.benchmarks.gpu import benchmark_gpu
from scripts.benchmarks.mnist import benchmark_mnist
from scripts.benchmarks.peers.compare import WORK, benchmark_peers
from scripts.benchmarks.peers.environments import default_folder
from scripts.benchmarks.probe import benchmark_probe
from scripts.benchmarks.sequences import benchmark_sequences
from scripts.benchmarks.start import benchmark_start
from scripts.benchmarks.steps import benchmark_steps
from scripts.benchmarks.sweep import benchmark_sweep
from scripts.benchmarks.wine import benchmark_wine

BENCHMARKS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "wine": benchmark_wine,
    "mnist": benchmark_mnist,
    "sweep": benchmark_sweep,
    "probe": benchmark_probe,
    "sequences": benchmark_sequences,
    "start": benchmark_start,
    "steps": benchmark_steps,
    "gpu": benchmark_gpu,
}
NOT_EVERYWHERE = {"gpu"}  # only where they are asked for


def main(description: str) -> None:
    """Run the named benchmarks, print what they measured, and write it as JSON.

    Args:
        description: What --help says.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="|".join([*BENCHMARKS, "peers"]))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("outputs/benchmark.json"))
    parser.add_argument("--environments", type=Path, default=default_folder(), help="of peers: where they are kept")
    parser.add_argument("--work", nargs="+", choices=list(WORK), default=["400", "mnist"], help="of peers: on what")
    options = parser.parse_args()
    peers = partial(benchmark_peers, environments=options.environments.absolute(), work=options.work)
    benchmarks: dict[str, Callable[[int], dict[str, Any]]] = {**BENCHMARKS, "peers": peers}
    if unknown := set(options.names) - set(benchmarks):
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}")
    quiet_libraries()
    os.environ["PYTHONWARNINGS"] = "ignore"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # on most machines Python keeps what it compiled of modules
    machine = describe_machine("cpu")
    result = {"machine": machine, "load at the start": os.getloadavg()}
    for name in options.names or [name for name in BENCHMARKS if name not in NOT_EVERYWHERE]:
        try:
            result[name] = benchmarks[name](options.runs)
        except UserError as error:
            parser.error(str(error))
        sys.stdout.write(json.dumps({name: result[name]}, indent=2) + "\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"written to {options.json}\n")
