"""Worker processes: where they stand, and with whom they end."""

import contextlib
import gc
import multiprocessing
import os
import pickle
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from joblib.externals.loky.backend import get_context
from joblib.externals.loky.backend.reduction import dumps
from joblib.externals.loky.backend.utils import kill_process_tree
from threadpoolctl import threadpool_limits

from initlab.base.errors import UserError, first_line
from initlab.base.forking import fork_of_this, start
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

    `start_workers` starts some.

    Args:
        pipe: The end here of what they talk through.
        process: The process that was started: this one, or the one that it is forked from.
    """

    def __init__(self, pipe: Connection, process: BaseProcess) -> None:
        self._pipe, self._process = pipe, process

    def call(self, name: str, *arguments: object) -> Any:
        """What a function of its module returns; arguments and result are sent as copies.

        Raises:
            EndedError: the process has ended.
            NotThereError: the function raised something, or its arguments or result cannot be sent.
        """
        try:
            self._pipe.send_bytes(dumps((name, arguments)))  # of classes that a notebook defines, too
            found, problem = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise EndedError("the system ended it, as where memory runs out, or code that it ran did") from error
        except Exception as error:  # whatever the user's objects bring about
            raise NotThereError(first_line(error)) from error
        if problem is not None:
            raise NotThereError(problem)
        return found

    def has_ended(self) -> bool:
        """Whether it has ended; where something is asked of it, that cannot be told."""
        try:
            return not self._process.is_alive() or self._pipe.poll()  # it says nothing unasked: that is the end
        except OSError:
            return True

    def release(self) -> None:
        """Let it end by itself, which takes a moment; nothing may be asked of it any more."""
        self._pipe.close()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, and those that were forked from the same process, but not for longer."""
        self._process.join(seconds)

    def kill(self) -> None:
        """End it, whatever it is at, all that it has started, and those that were forked from the same process."""
        if self._process.is_alive():
            kill_process_tree(self._process)


def start_workers(module: str, count: int, *, cores: int, may_fork: bool, from_here: bool = False) -> list[Worker]:
    """Start processes, which import what they need while this one goes on.

    On Linux they import once, and are forks of the process that did: that has used no threads and no GPU yet.

    Args:
        module: Where the functions are that they are to call, one of initlab's.
        count: How many.
        cores: How many cores each may use.
        may_fork: Whether they may be forks, as where none of them uses a GPU.
        from_here: Whether the one that imports is a fork itself, of this process, and has what this has imported. It
            must bear that, as `may_fork_to_train` tells, and have no other workers.

    Raises:
        OSError: no process can be had.
    """
    if multiprocessing.current_process().daemon:
        raise OSError("a daemonic process may start no others")
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(cores))
    warned = {"PYTHONWARNINGS": ",".join(sys.warnoptions)} if sys.warnoptions else {}
    context = get_context("loky")  # unlike Python's own, it does not run the program's main module anew
    together = count if may_fork and sys.platform == "linux" else 1
    workers: list[Worker] = []
    try:
        while len(workers) < count:
            pipes = [context.Pipe() for _ in range(together)]
            arguments = ([its for _, its in pipes], Home.here(), module)
            if from_here:
                process = fork_of_this(_serve_from_here, [ours for ours, _ in pipes], cores, threads, *arguments)
            else:
                process = context.Process(target=_serve, args=arguments, env={**threads, **warned})
            with _interrupt_waits():  # here, too, until those that have started are known
                start(process)
                workers += [Worker(ours, process) for ours, _ in pipes]
            for _, its in pipes:
                its.close()
    except BaseException:
        for worker in workers:
            worker.kill()
        raise
    return workers


class EndedError(Exception):
    """A worker has ended while something was asked of it, or before."""


class NotThereError(Exception):
    """What a worker was asked for cannot be done in it; the message says why."""


def _serve_from_here(
    theirs: Sequence[Connection],
    cores: int,
    threads: Mapping[str, str],
    pipes: Sequence[Connection],
    home: Home,
    module: str,
) -> None:
    """`_serve` in a fork of the process that asks, whose ends of the pipes it has, too."""
    for other in theirs:  # else nobody would see that the process that asks is gone
        other.close()
    os.environ.update(threads)  # which libraries read when they are loaded
    threadpool_limits(cores)  # of those that are loaded
    _serve(pipes, home, module)


def _serve(pipes: Sequence[Connection], home: Home, module: str) -> None:
    """Do what another process asks for, until it asks no more: in this process, or of several pipes in a fork each.

    Args:
        pipes: What is asked, and answered, through.
        home: The process that asks.
        module: Where the functions are.
    """
    if len(pipes) == 1:
        _answer(pipes[0], home, module)
        return
    _ignore_interrupt()
    load(module)
    gc.freeze()  # so that no collection writes to what the forks share
    forks = []
    with contextlib.suppress(OSError):  # no more processes can be had
        for own in pipes:
            fork = fork_of_this(_answer_alone, pipes, own, home, module)
            start(fork)
            forks.append(fork)
    for pipe in pipes:  # else nobody would see that a fork has ended, or never began
        pipe.close()
    _follow(home)
    for fork in forks:
        fork.join()


def _answer_alone(pipes: Sequence[Connection], own: Connection, home: Home, module: str) -> None:
    """The same in a fork, which has the others' pipes, too, and what the process had when it forked."""
    for pipe in pipes:
        if pipe is not own:
            pipe.close()
    if "numpy" in sys.modules:  # else what a user's code draws of it without a seed would be the same in all
        sys.modules["numpy"].random.seed()
    _answer(own, home, module)


def _answer(pipe: Connection, home: Home, module: str) -> None:
    """Answer what is asked through a pipe; an exit of the user's code ends this process."""
    with pipe:  # closed before what the user's code has left at work is waited for: the other sees that this one ends
        _follow(home)
        functions = load(module)
        while True:
            try:
                asked = pipe.recv_bytes()
            except (EOFError, OSError):
                return
            try:
                name, arguments = pickle.loads(asked)
                answer = pickle.dumps((getattr(functions, name)(*arguments), None))
            except Exception as error:
                answer = pickle.dumps((None, f"{type(error).__name__}: {first_line(error)}"))
            # What the user's code has printed: once the other has its answer, it kills this process.
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            try:
                pipe.send_bytes(answer)
            except OSError:
                return


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
    start_worker()


def _follow(home: Home) -> None:
    """Leave Ctrl-C to the main process, which then ends this one, and end when that is gone."""
    if (home.node, home.process) == (platform.node(), os.getpid()):
        return
    _ignore_interrupt()
    _end_with_parent()


def _ignore_interrupt() -> None:
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def _interrupt_waits() -> Iterator[None]:
    """Let no Ctrl-C reach a process that starts in this context before it can leave it to the main process."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, though it be idle."""
    name, parent = "initlab: parent", os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    if not any(thread.name == name for thread in threading.enumerate()):
        threading.Thread(target=watch, name=name, daemon=True).start()
