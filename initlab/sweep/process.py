"""Worker processes: where they stand, and with whom they end."""

import contextlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from initlab.base.console import quiet_libraries
from initlab.base.errors import UserError
from initlab.base.importing import load
from initlab.base.plugins import load_plugins
from initlab.base.threads import start_worker


@dataclass(frozen=True)
class Home:
    """The process that a worker works for.

    Attributes:
        node: Name of its machine.
        process: Its number there.
        folder: Its working directory, from which paths are read.
        path: Where it finds modules.
    """

    node: str
    process: int
    folder: Path
    path: tuple[str, ...]

    @classmethod
    def here(cls) -> "Home":
        """This process."""
        return cls(platform.node(), os.getpid(), Path.cwd(), tuple(sys.path))


def prepare_worker(home: Home, module: str) -> None:
    """Make a process that has just started ready for its first work: it imports what that needs.

    Args:
        home: The process that it works for.
        module: What to import, one of initlab's.
    """
    _follow(home)
    load(module)


def enter_worker(home: Home, plugins: Sequence[str]) -> None:
    """Make this process a worker that stands where another does, knows what that knows, and ends when that ends.

    Called again, or in the other process itself, it changes nothing that it has changed.

    Args:
        home: The process that it works for.
        plugins: Modules of the user's to load, as the key `plugins` names them.

    Raises:
        UserError: this machine does not have the other's working directory.
    """
    _follow(home)
    try:
        os.chdir(home.folder)
    except OSError as error:
        raise UserError(
            f"{home.folder}: not on {platform.node()}; all nodes must share the folder of a sweep"
        ) from error
    sys.path += [entry for entry in home.path if entry not in sys.path]
    load_plugins(plugins)
    quiet_libraries()
    start_worker()


def _follow(home: Home) -> None:
    """Leave Ctrl-C to the main process, which then ends this one, and end when that is gone."""
    if (home.node, home.process) == (platform.node(), os.getpid()):
        return
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, though it be idle."""
    name, parent = "initlab: parent", os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    if not any(thread.name == name for thread in threading.enumerate()):
        threading.Thread(target=watch, name=name, daemon=True).start()
