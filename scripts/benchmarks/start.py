"""What a user waits for before anything heavy is needed."""

import statistics
from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.timing import command, seconds


def benchmark_start(runs: int) -> dict[str, Any]:
    """Time what a user waits for before anything heavy is needed."""
    calls: Mapping[str, tuple[str, ...]] = {"--help": ("--help",), "--cfg job": ("--cfg", "job")}
    return {
        f"seconds of {name}": statistics.median(seconds(command(*arguments)) for _ in range(runs))
        for name, arguments in calls.items()
    }
