"""Where pytest finds what the tests share, in the processes that run tests."""

import gc
import os
import sys

import pytest

# Before NumPy and torch are imported: there is a process of tests for each core, and the threads of small products
# would wait for each other. The commands that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Else each of them compiles what it imports of initlab's anew, and each process of tests rewrites their assertions.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """A process that only hands out tests to others can do without, and without the seconds that importing takes."""
    if not config.getoption("numprocesses", None):
        gc.disable()  # until the first test starts: what is imported, and collected by pytest, is no garbage
        config.pluginmanager.import_plugin("tests.fixtures")
