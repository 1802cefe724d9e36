"""The processes of this machine that train for one command: they start once, and share what there is to do."""

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Self, TypeVar

from initlab.sweep.process import EndedError, Worker, start_workers

END_SECONDS: Final = 5.0  # that a worker may take to end by itself, as where the user's code has left something at work
HEAR_SECONDS: Final = 0.5  # from one look at whether Ctrl-C was pressed to the next
Task = TypeVar("Task")
Answer = TypeVar("Answer")


def training_crew() -> "Crew":
    """Processes of this machine that are to train, of which none has started."""
    return Crew("initlab.sweep.in_worker")


class Crew:
    """Worker processes of this machine, which a `with` block ends.

    Args:
        module: Where the functions are that they are to call, one of initlab's.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._workers: list[Worker] = []
        self._released: list[Worker] = []
        self._lock = threading.Lock()  # of these lists: in each worker's thread another may take its place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.release()
        until = time.monotonic() + (END_SECONDS if error is None else 0.0)
        for worker in self._released:
            worker.wait(max(0.0, until - time.monotonic()))
        while self._released:
            self._released.pop().kill()

    def release(self) -> None:
        """Let all of them end, as there is nothing more to do; they do so while this process goes on."""
        with self._lock:
            while self._workers:
                self._release(self._workers[-1])

    def _release(self, worker: Worker) -> None:
        self._released.append(worker)
        self._workers.remove(worker)
        worker.release()

    def gather(self, count: int, *, cores: int, may_fork: bool, from_here: bool = False) -> None:
        """Start workers, as many as are missing; they import what they need meanwhile. None may be at work.

        Args:
            count: How many there are to be.
            cores: How many cores each may use.
            may_fork: Whether they may be forks of one process, as where none of them uses a GPU.
            from_here: Whether that is a fork of this process, as `start_workers` says; there are no others yet.

        Raises:
            OSError: no more processes can be had.
        """
        with self._lock:
            for worker in [one for one in self._workers if one.has_ended()]:
                self._release(worker)
            missing = count - len(self._workers)
            if missing > 0:
                self._workers += start_workers(
                    self._module, missing, cores=cores, may_fork=may_fork, from_here=from_here
                )

    @property
    def has_started(self) -> bool:
        """Whether there are workers, at work or not."""
        return bool(self._workers)

    def call(self, name: str, *arguments: object) -> Any:
        """What a function returns that one of the workers calls, of which there are some, and none is at work.

        Raises:
            EndedError, NotThereError: as `Worker.call` raises them.
        """
        return self._workers[0].call(name, *arguments)

    def dismiss(self) -> None:
        """End all of them, whatever they are at."""
        with self._lock:
            while self._workers:
                self._workers[-1].kill()
                self._workers.pop()

    def share(
        self, tasks: Sequence[Task], do: Callable[[Worker, Task], Answer], *, most: int, cores: int
    ) -> Generator[tuple[Task, Answer | Exception]]:
        """Share tasks among the workers, and give what came of each, as it comes.

        Where no worker is left, what is left of the tasks is not done. Where not all is taken, as where an error comes
        between, all workers are dismissed.

        Args:
            tasks: What there is to do, the first to start first.
            do: Lets a worker do a task; called in a thread of each worker.
            most: How many workers may be at work at a time, though there be more.
            cores: How many cores a worker may use that takes the place of one that ended.

        Yields:
            Each task, and what `do` returned or raised. Where the worker ended of it, another takes its place.
        """
        waiting, workers = deque(tasks), self._workers[: min(most, len(tasks))]
        news: queue.SimpleQueue[tuple[Task, Answer | Exception] | None] = queue.SimpleQueue()

        def work(worker: Worker | None) -> None:
            try:
                while worker is not None and waiting:
                    try:
                        task = waiting.popleft()
                    except IndexError:  # another thread took the last one
                        return
                    try:
                        news.put((task, do(worker, task)))
                    except Exception as error:
                        news.put((task, error))
                        if isinstance(error, EndedError):
                            worker = self._instead_of(worker, cores, wanted=bool(waiting))
            finally:
                news.put(None)

        left, at_work = len(tasks), len(workers)
        try:
            for worker in workers:
                threading.Thread(target=work, args=(worker,), daemon=True).start()
            while left and at_work:
                try:
                    found = news.get(timeout=HEAR_SECONDS)
                except queue.Empty:  # on Windows nothing else lets Ctrl-C through
                    continue
                if found is None:
                    at_work -= 1
                else:
                    left -= 1
                    yield found
        finally:
            if left:
                waiting.clear()
                self.dismiss()

    def _instead_of(self, ended: Worker, cores: int, *, wanted: bool) -> Worker | None:
        """A worker in the place of one that has ended; None where none is wanted, or can be had."""
        with self._lock:
            if ended not in self._workers:  # all have been dismissed meanwhile
                return None
            self._release(ended)
            if not wanted:
                return None
            with contextlib.suppress(OSError):
                self._workers += start_workers(self._module, 1, cores=cores, may_fork=False)
                return self._workers[-1]
        return None
