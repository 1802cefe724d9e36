"""What the tests of sweeps share."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from initlab.tables.store import read_table

FAILING = "model._target_=tests.sweep.failing.Failing"

# Imports what is heavy once, then forks a process for each command.
FORKING = """
import os, sys
import initlab.cli.run_train
from initlab.train import main
for line in sys.stdin:
    what, _, rest = line.strip().partition(" ")
    if what == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(int(rest), 0)[1]), flush=True)
        continue
    sys.stdout.flush()
    child = os.fork()
    if not child:
        folder, _, command = rest.partition(" ")
        os.chdir(folder)
        sys.argv = ["initlab.train", *command.split(), "report=false"]
        with open("said.txt", "a") as said:
            os.dup2(said.fileno(), 1), os.dup2(said.fileno(), 2)
            main()
            os._exit(0)
    print(child, flush=True)
"""


class Commands:
    """Commands as processes of their own, without the seconds that each would take to start."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, command: str, folder: Path) -> int:
        """Start a command in a folder, whose said.txt takes what it says; its process id."""
        return self._ask(f"start {folder} {command}")

    def wait(self, process: int) -> int:
        """The exit code of a command that was started; negative: the signal that ended it."""
        return self._ask(f"wait {process}")

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def open_commands() -> Iterator[Commands]:
    """A process that runs commands as they are asked for."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Commands(process)
    finally:
        process.communicate(timeout=60)


def tables_of(study: Path) -> dict[str, list[pd.DataFrame]]:
    """Members, without their times, history, and signal where it was recorded, of each job of a study."""
    return {
        path.parent.name: [
            read_table(path.parent, "members").drop(columns="seconds"),
            *(
                read_table(path.parent, name)
                for name in ("history", "signal")
                if (path.parent / f"{name}.parquet").exists()
            ),
        ]
        for path in sorted(study.glob("*/members.parquet"))
    }


def assert_same_tables(study: Path, other: Path, *, rtol: float | None = None) -> None:
    """The jobs of two studies measured the same, to the bit unless a tolerance is given."""
    found, expected = tables_of(study), tables_of(other)
    assert list(found) == list(expected)
    for name, tables in expected.items():
        for one, another in zip(found[name], tables, strict=True):
            tolerance = {"check_exact": True} if rtol is None else {"rtol": rtol, "atol": rtol}
            pd.testing.assert_frame_equal(one, another, **tolerance)
