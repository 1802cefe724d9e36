"""Running what is compared in turn, as processes, and comparing medians of wall and CPU seconds."""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Sample = Mapping[str, float]
CPU = " CPU"  # ends the name of what is measured in seconds of CPU; without it, it is that of the wall


def cpu_seconds(*whose: int) -> float:
    """Seconds of CPU, user and system together.

    Args:
        whose: `resource.RUSAGE_SELF`, all threads of this process; `RUSAGE_CHILDREN`, what it has waited for.
    """
    usages = [resource.getrusage(one) for one in whose]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_timed(command: Sequence[str | Path], environment: Mapping[str, str]) -> dict[str, float]:
    """Run a process, and return what it measured with the seconds of the whole.

    Args:
        command: What to run. If the last line of its standard output is JSON, this is what it measured.
        environment: All its variables.

    Raises:
        RuntimeError: it failed.
    """
    start, start_cpu = time.perf_counter(), cpu_seconds(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    whole = {
        "whole": time.perf_counter() - start,
        f"whole{CPU}": cpu_seconds(resource.RUSAGE_CHILDREN) - start_cpu,
    }
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    lines = done.stdout.strip().splitlines()
    found: dict[str, float] = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return {**found, **whole}


def alternate(contestants: Mapping[str, Callable[[], Sample]], runs: int) -> dict[str, list[Sample]]:
    """Run each of them in turn, every other time in the opposite order; what each measured is said as it comes.

    Args:
        contestants: What to run, by their names.
        runs: How often.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    for number in range(runs):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            sample = contestants[name]()
            samples[name].append(sample)
            sys.stderr.write(f"{number + 1}/{runs} {name}: {json.dumps(rounded(sample))}\n")
    return samples


def medians(samples: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Of each contestant and each thing that was measured, the median over its runs."""
    return {
        name: {what: statistics.median(sample[what] for sample in own) for what in own[0]}
        for name, own in samples.items()
    }


def ratio(one: Sample, other: Sample, what: str, whats: str | None = None) -> dict[str, float]:
    """How many times as long one takes as another, by the wall and in seconds of CPU.

    Args:
        one: Medians of the one.
        other: Medians of the other.
        what: What is compared, such as "whole".
        whats: Its name in the other; None: the same.
    """
    whats = whats or what
    return {"wall": one[what] / other[whats], "CPU": one[what + CPU] / other[whats + CPU]}


def scaled(sample: Sample, factor: float) -> dict[str, float]:
    """A sample with all its seconds multiplied, for work that is done so many times one after another."""
    return {what: value if what == "accuracy" else value * factor for what, value in sample.items()}


def rounded(sample: Sample) -> dict[str, float]:
    """A sample as it is read, to three digits; an accuracy to four places."""
    return {what: round(value, 4) if what == "accuracy" else float(f"{value:.3g}") for what, value in sample.items()}
