"""Probing jobs: one after another, or shared among processes where that takes long."""

import contextlib
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Self, TypeVar

import torch

from initlab.base.console import plain_warnings
from initlab.base.errors import UserError
from initlab.base.gpu import same_numbers
from initlab.base.machine import trains_on_cuda
from initlab.base.memory import room_for_workers
from initlab.base.threads import (
    cores_of_process,
    intra_op_threads,
    threads_of_loop,
    threads_of_probe,
    usable_cores,
)
from initlab.cohort.engines import choose_engine, has_convolutions
from initlab.cohort.networks import build_networks
from initlab.config.schema import Config
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.modules.stack import stack_members
from initlab.propagation.probe import Probe, probe_networks
from initlab.sweep.process import EndedError, Home, NotThereError, Worker, enter_worker, start_workers

_T = TypeVar("_T")
PROBED_IN: Final = 2.0  # times what checking a network takes, at least where it is large
WORTH_WORKERS: Final = 12.0  # seconds that are left: a worker is ready after 4 or 5, of which its imports take most


@dataclass(frozen=True)
class Fault:
    """What went wrong with a job, in words: whatever a user's code raises cannot be sent to another process.

    Attributes:
        message: What was raised.
        to_retype: Whether it is about what was typed, rather than about code that failed, be it initlab's or the
            user's.
        traceback: Where, as Python prints it.
    """

    message: str
    to_retype: bool
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> "Fault":
        """Of what was raised."""
        to_retype = isinstance(error, UserError) and error.exit_code == UserError.exit_code
        try:
            message = str(error)
        except Exception:  # of a user's class
            message = type(error).__name__
        return cls(message, to_retype, "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Found:
    """What came out of probing a job.

    Attributes:
        outcome: The probe, or why there is none.
        init_seconds: By seed, the processor time that the initializer took.
    """

    outcome: Probe | Fault
    init_seconds: Mapping[int, float]


class Workers:
    """Processes of this machine that probe beside this one, where they are worth their start.

    By the key `n_jobs` there are so many processes, of which this is one. For `auto` there are others where what is
    left takes long, and they start as soon as `expect` is told so.

    Example:
        >>> with Workers(jobs) as workers:  # doctest: +SKIP
        ...     for job, found in probe_jobs(jobs, workers):
        ...         print(job.name, found.outcome)

    Args:
        jobs: Those of one command that may come to be probed.
        tell: Told in a line of each of these processes that ended.
    """

    def __init__(self, jobs: Sequence[Job], tell: Callable[[str], None] = lambda _: None) -> None:
        self.tell = tell
        self._waits = bool(jobs) and jobs[0].config.n_jobs == "auto"
        self._most = min(len(jobs), _most_processes(jobs[0].config)) if jobs else 1
        self._members = sum(len(job.seeds) for job in jobs)
        self._checks: list[float] = []  # seconds
        self.others: list[Worker] = []

    def __enter__(self) -> Self:
        if not self._waits:
            try:
                self._start()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as ends:  # all of them, whatever becomes of one
            for worker in self.others:
                ends.callback(worker.kill)

    def note_check(self, seconds: float) -> None:
        """Expect of all networks what checking one job says: it builds one, and sends two rows through it.

        Args:
            seconds: How long that took. The first check tells nothing: it imports, and does all for the first time.
        """
        self._checks.append(seconds)
        if len(self._checks) > 1:
            self.expect(PROBED_IN * fmean(self._checks[1:]) * self._members)

    def expect(self, seconds: float) -> None:
        """Start the others if there is so much to do, in seconds of one process, that they are worth it."""
        if self._waits and seconds >= WORTH_WORKERS:
            self._waits = False
            self._start()

    def _start(self) -> None:
        with contextlib.suppress(Exception):  # as where no process can be had
            cores = cores_of_process(self._most)
            self.others += start_workers(__name__, self._most - 1, cores=cores, may_fork=True)  # none is on a GPU


def probe_jobs(jobs: Sequence[Job], workers: Workers) -> Generator[tuple[Job, Found]]:
    """Probe jobs, and give what came out of each, in their order; a failing one does not stop the others.

    Args:
        jobs: Those of one command.
        workers: With whom they are shared. Where these wait to be told how long all takes, the first jobs say so.
    """
    left = deque(jobs)
    while left and (not workers.others or len(left) == 1):
        began = time.perf_counter()
        job = left.popleft()
        found = _found(job)
        if len(left) > 1:
            workers.expect(len(left) * (time.perf_counter() - began))
        yield job, found
    if left:
        yield from _shared(left, workers.others[: len(left) - 1], workers.tell)


def _most_processes(config: Config) -> int:
    """How many processes may probe at a time; a GPU has one queue, and a cluster's workers are none of this machine."""
    if trains_on_cuda(config.trainer.accelerator):
        return 1
    if config.n_jobs == "auto" or config.backend != "loky":
        return min(usable_cores(), room_for_workers())
    return usable_cores() if config.n_jobs == -1 else config.n_jobs


def _shared(
    jobs: Sequence[Job], workers: Sequence[Worker], tell: Callable[[str], None]
) -> Generator[tuple[Job, Found]]:
    """The same, by two processes or more: this one takes a job when it has done one, and so do the workers.

    A job whose worker ends, or that fails there by its own code, as where two together do not fit into memory, is
    probed here.
    """
    home, cores = Home.here(), cores_of_process(len(workers) + 1)
    waiting = deque(jobs)
    own = deque([waiting.popleft()])  # what is done here whoever has nothing to do: no worker may be ready yet
    # What came out of a job; None of one that cannot be done there. None alone: a thread has ended.
    news: queue.SimpleQueue[tuple[Job, Found | None] | None] = queue.SimpleQueue()

    def keep_busy(worker: Worker) -> None:
        try:
            while (job := _next(waiting)) is not None:
                found = None
                try:
                    found = worker.call(_in_worker.__name__, job, cores, home)
                except NotThereError:  # whatever it is, it is said when the job is probed here
                    continue
                except EndedError:
                    if not over.is_set():
                        tell(f"{job.name}: the process that was to probe it ended; it is probed in this one")
                    break
                finally:
                    news.put((job, found))
        finally:
            news.put(None)

    over = threading.Event()
    there: dict[str, Found] = {}
    busy = len(workers)
    try:
        for worker in workers:
            threading.Thread(target=keep_busy, args=(worker,), daemon=True).start()
        for job in jobs:
            while job.name not in there:
                mine = _next(own) or _next(waiting)
                if mine is not None:
                    there[mine.name] = _found(mine, cores=cores if busy else None)
                for one in _those_there(news, wait=mine is None and busy > 0):
                    if one is None:
                        busy -= 1
                        continue
                    done, found = one
                    if found is None or (isinstance(found.outcome, Fault) and not found.outcome.to_retype):
                        own.append(done)
                    else:
                        there[done.name] = found
            yield job, there.pop(job.name)
    finally:
        over.set()
        waiting.clear()


def _those_there(news: "queue.SimpleQueue[_T]", *, wait: bool) -> Iterator[_T]:
    """What is in a queue; with `wait` at least one, which may have to come."""
    if wait:
        yield news.get()
    while not news.empty():
        yield news.get()


def _next(jobs: deque[Job]) -> Job | None:
    try:
        return jobs.popleft()
    except IndexError:
        return None


def _in_worker(job: Job, cores: int | None, home: Home) -> Found:
    enter_worker(home, job.config.plugins)
    return _found(job, cores=cores)


def _found(job: Job, *, cores: int | None = None) -> Found:
    seconds: dict[int, float] = {}
    try:
        with plain_warnings():
            return Found(probe_job(job, seconds=seconds, cores=cores), seconds)
    except Exception as error:  # whatever its network or initializer brings about
        return Found(Fault.of(error), seconds)


def probe_job(
    job: Job,
    *,
    seconds: MutableMapping[int, float] | None = None,
    cores: int | None = None,
    quick: bool = False,
) -> Probe:
    """Build a job's members and look at the signal in them.

    Args:
        job: The job.
        seconds: Gets, by seed, the processor time that the initializer took.
        cores: How many cores this process may use; None: all that the system allows.
        quick: Whether to do without what torch takes a second to import: members are looked at one after another, and
            their Jacobians not at all.
    """
    # On one thread, that what an initializer takes compares whoever is at work beside it: several wait for each other.
    threads = 1 if job.config.threads == "auto" else job.config.threads
    networks = build_networks(Share(job, job.seeds), threads=threads, seconds=seconds)
    with intra_op_threads(1):  # copies alone
        stack = stack_members(networks)
    device = torch.device("cuda" if trains_on_cuda(job.config.trainer.accelerator) else "cpu")
    stack = stack.to(device)
    batch = job.rows_to_look_at().to(next(iter(stack.parameters.values())).device)
    largest = max(value[0].numel() for value in stack.parameters.values())
    threads = threads_of_probe(
        job.config.threads,
        products=largest * len(batch),
        convolutional=has_convolutions(stack.template),
        cores=cores,
    )
    engine = "loop" if quick else job.config.engine
    vectorized = choose_engine(engine, stack, batch.inputs[:2], batch=len(batch)) == "vmap"
    one_queue = vectorized or device.type == "cuda"
    shared = threads_of_loop(threads, members=stack.members, one_queue=one_queue)
    loss = job.loss
    with intra_op_threads(shared.intra_op), same_numbers():
        return probe_networks(
            stack,
            batch,
            seeds=job.seeds,
            vectorized=vectorized,
            loss=lambda outputs, targets: loss(outputs, targets).sum(),
            fitted=job.fitted,
            workers=shared.workers,
            spectrum=not quick,
        )
