"""Worker processes: where they stand, and with whom they end."""

import contextlib
import os
import pickle
import platform
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from joblib.externals.loky.backend import get_context
from joblib.externals.loky.backend.utils import kill_process_tree

from initlab.base.console import quiet_libraries
from initlab.base.errors import UserError, first_line
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


class Worker:
    """A process of this machine that does one thing at a time for this one, and may end of it.

    It starts at once, and imports what it needs while this one goes on.

    Args:
        module: Where the functions are that it is to call, one of initlab's.
        cores: How many cores it may use.
    """

    def __init__(self, module: str, *, cores: int) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(cores))
        warned = {"PYTHONWARNINGS": ",".join(sys.warnoptions)} if sys.warnoptions else {}
        context = get_context("loky")  # unlike Python's own, it does not run the program's main module anew
        self._pipe, its = context.Pipe()
        arguments = (its, Home.here(), module)
        self._process = context.Process(target=_serve, args=arguments, env={**threads, **warned})
        self._process.start()
        its.close()

    def call(self, name: str, *arguments: object) -> Any:
        """What a function of its module returns; arguments and result are sent as copies.

        Raises:
            EOFError, OSError: the process has ended.
            NotThereError: the function raised something, or its arguments or result cannot be sent.
        """
        try:
            self._pipe.send_bytes(pickle.dumps((name, arguments)))
            found, problem = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            raise
        except Exception as error:  # whatever the user's objects bring about
            raise NotThereError(first_line(error)) from error
        if problem is not None:
            raise NotThereError(problem)
        return found

    def kill(self) -> None:
        """End it, whatever it is at, and all that it has started."""
        kill_process_tree(self._process)


class NotThereError(Exception):
    """What a worker was asked for cannot be done in it; the message says why."""


def _serve(pipe: Connection, home: Home, module: str) -> None:
    """Do what another process asks for, until it asks no more; an exit of the user's code ends this process."""
    with pipe:  # closed before what the user's code has left at work is waited for: the other sees that this one ends
        prepare_worker(home, module)
        functions = load(module)
        while True:
            try:
                name, arguments = pickle.loads(pipe.recv_bytes())
                answer = pickle.dumps((getattr(functions, name)(*arguments), None))
            except (EOFError, OSError):
                return
            except Exception as error:
                answer = pickle.dumps((None, f"{type(error).__name__}: {first_line(error)}"))
            for stream in (
                sys.stdout,
                sys.stderr,
            ):  # what the user's code prints: once it has all, the other kills this
                stream.flush()
            pipe.send_bytes(answer)


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
