"""What the command lines have in common: where the configuration is, and how errors leave."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from omegaconf import OmegaConf

from initlab.base.errors import UserError
from initlab.cli.grids import expand_grids
from initlab.cli.hydra_errors import explain
from initlab.cli.plugins import offer_plugins
from initlab.config.files import CONF
from initlab.config.names import job_name

INTERRUPTED = 130

# One name for all jobs of a command, however long composing them takes, and in whatever process they run.
STARTED = "INITLAB_STARTED"


def started() -> str:
    """When the command was given, to the microsecond: two of one moment must not share a folder."""
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%d_%H-%M-%S', time.localtime(now))}.{int(now * 1e6) % 1_000_000:06d}"
    return os.environ.setdefault(STARTED, stamp)


OmegaConf.register_new_resolver("started", started, replace=True)
OmegaConf.register_new_resolver("job_name", lambda overrides: job_name(overrides), replace=True)


def run_command(app: Callable[[], None]) -> None:
    """Run a Hydra app; whatever is the user's to mend is one line and exit code 2."""
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, str(Path.cwd()))  # where a user's own modules lie, under the console script, too
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # so that Hydra hands its errors to us
    try:
        sys.argv[1:] = expand_grids(sys.argv[1:])
        offer_plugins(sys.argv[1:])
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        message = explain(error, CONF)
        if message is None:
            raise
        stop(message)


def stop(error: UserError) -> NoReturn:
    """Say what was wrong in one line and leave."""
    sys.stderr.write(f"initlab: {' '.join(str(error).split())}\n")
    sys.exit(error.exit_code)
