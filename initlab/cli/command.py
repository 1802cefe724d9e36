"""What Hydra's commands have in common: when and how they were given, what names their jobs, and how errors leave."""

import atexit
import contextlib
import gc
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from omegaconf import OmegaConf

from initlab.base.console import open_console, say, stop, survive_any_encoding
from initlab.base.machine import command_line
from initlab.cli.arguments import understood
from initlab.cli.plugins import offer_plugins
from initlab.config.hydra_errors import explain
from initlab.config.names import SWEPT, job_name, short_name

INTERRUPTED = 130

# One name for all jobs of a command, however long composing them takes, and in whatever process they run.
STARTED = "INITLAB_STARTED"
# What was typed: Hydra gets it rewritten, and other processes have a command line of their own.
COMMAND = "INITLAB_COMMAND"


def started() -> str:
    """When the command was given, to the microsecond: two of one moment must not share a folder."""
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%d_%H-%M-%S', time.localtime(now))}.{int(now * 1e6) % 1_000_000:06d}"
    return os.environ.setdefault(STARTED, stamp)


def typed_command() -> str:
    """What was typed, so that it can be typed again."""
    return os.environ.get(COMMAND) or command_line(sys.argv)


def swept() -> frozenset[str] | None:
    """The keys in which the jobs of this command differ; None where nobody has said."""
    return frozenset(filter(None, os.environ[SWEPT].split(","))) if SWEPT in os.environ else None


def _folder_name(overrides: list[str]) -> str:
    """Name of a job's folder, in whatever process it runs."""
    keys = swept()
    return job_name(overrides) if keys is None else short_name(overrides, keys)


OmegaConf.register_new_resolver("started", started, replace=True)
OmegaConf.register_new_resolver("job_name", _folder_name, replace=True)


def _show_help(app: Callable[[], None]) -> None:
    """Print what Hydra says of an app, in lines that the terminal holds."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            app()
    finally:  # Hydra leaves by an exit
        lines = said.getvalue().rstrip("\n").split("\n")
        # Lessons lie in a folder of choices, and are none of these commands'.
        say(open_console(), "\n".join(line for line in lines if not line.startswith("lesson:")))


def run_command(app: Callable[[], None], config_name: str) -> None:
    """Run a Hydra app; whatever is the user's to mend is one line and exit code 2.

    Args:
        app: Made by `hydra.main`.
        config_name: The configuration that it starts from.
    """
    survive_any_encoding()
    # Python's last collection would go through all that torch, pandas and others hold: seconds after the last word.
    atexit.register(gc.freeze)
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, str(Path.cwd()))  # where a user's own modules lie, under the console script, too
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # so that Hydra hands its errors to us
    os.environ[COMMAND] = command_line(sys.argv)
    for name in (STARTED, SWEPT):  # of a former command of this process
        os.environ.pop(name, None)
    started()  # before a fork of this process would say so for itself alone
    try:
        sys.argv[1:] = understood(sys.argv[1:], config_name=config_name)
        offer_plugins(sys.argv[1:])
        if {"-h", "--help"} & set(sys.argv[1:]):
            _show_help(app)
        else:
            app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = explain(error, sys.argv[1:])
        if message is None:
            raise
        stop(message)
