"""Cohorts in worker processes, here or on a cluster, through joblib; the sweep's folder is their only channel.

A worker writes whatever it makes into the sweep's folder, its progress included, so that nothing is lost with the
process, and one backend needs nothing that another has not.
"""

import contextlib
import json
import logging
import os
import platform
import signal
import socket
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed, parallel_config

from initlab.config import Config
from initlab.console import plain_warnings, quiet_libraries
from initlab.errors import UserError, first_line
from initlab.machine import trains_on_cuda, usable_cores
from initlab.plugins import load_plugins
from initlab.results.store import write_whole
from initlab.sweep import journal
from initlab.sweep.cohorts import Cohort
from initlab.sweep.folders import outcome, write_failure
from initlab.sweep.lock import locked
from initlab.sweep.worker import Run, run_cohort

PROGRESS = "progress.json"
ATTEMPT = "attempt"
REPORT_SECONDS = 0.5
CONNECT_SECONDS = 10
# When one worker dies, all stop. A cohort that was at work so often runs alone, to find the one that is to blame.
SUSPICIOUS = 2


def run_in_pool(
    cohorts: Sequence[Cohort], run: Run, *, workers: int, advance: Callable[[float], None],
    finished: Callable[[Cohort], None],
) -> None:  # fmt: skip
    """Train cohorts in worker processes.

    Where a worker dies, what is not finished is tried again. A cohort whose worker dies though nothing else was at
    work is halved, as memory may be the reason, and a single member is given up.

    Args:
        cohorts: Of one sweep.
        run: Of the sweep.
        workers: How many processes.
        advance: Told of work done, in member-epochs.
        finished: Told of each cohort that has come to an end.

    Raises:
        JobsFailedError: a job failed, and `fail_fast` is set.
        UserError: the backend is not to be had.
    """
    first = cohorts[0].shares[0].job
    attempt = first.study / journal.FOLDER / ATTEMPT
    deaths: Counter[Cohort] = Counter()
    pending = list(cohorts)
    try:
        with open_backend(first.config, workers):
            while pending:
                batch = [cohort for cohort in pending if deaths[cohort] >= SUSPICIOUS][:1] or pending
                watch, reason = _try(batch, run, attempt, workers, advance, finished)
                if reason is None:
                    pending = [cohort for cohort in pending if cohort not in batch]
                    continue
                started = [cohort for cohort in batch if cohort in watch.done and cohort not in watch.finished]
                if not started and not watch.finished:
                    raise UserError(f"the worker processes end before they begin: {first_line(reason)}")
                deaths.update(started)
                advance(-sum(watch.done[cohort] for cohort in started))
                again = []
                for cohort in pending:
                    if cohort in watch.finished:
                        continue
                    if all(outcome(share.job, run.identity) == "finished" for share in cohort.shares):
                        finished(cohort)  # killed between its last job and saying so
                        continue
                    if cohort in started and len(batch) == 1 and deaths[cohort] > SUSPICIOUS:
                        halves = _halved(cohort, run, reason)
                        deaths.update(dict.fromkeys(halves, SUSPICIOUS))
                        again += halves
                    else:
                        again.append(cohort)
                pending = again
    finally:
        attempt.unlink(missing_ok=True)  # whoever is still at work, on another machine say, then stops


def _try(
    cohorts: Sequence[Cohort], run: Run, attempt: Path, workers: int, advance: Callable[[float], None],
    finished: Callable[[Cohort], None],
) -> tuple["_Watch", Exception | None]:  # fmt: skip
    """Train cohorts; what was seen of them, and why it ended early, if it did."""
    number = uuid.uuid4().hex
    here = (platform.node(), os.getpid())
    try:
        write_whole(attempt, lambda path: path.write_text(number))
        for cohort in cohorts:
            (journal.open_folder(cohort) / PROGRESS).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{attempt.parent}: cannot be written ({error.strerror})") from error
    with _watching(cohorts, advance, finished) as watch:
        try:
            Parallel(batch_size=1, pre_dispatch=workers)(
                delayed(_in_worker)(cohort, run, number, here, Path.cwd(), list(sys.path)) for cohort in cohorts
            )
        except UserError:
            raise
        except Exception as error:  # a worker died: whatever its backend makes of that
            return watch, error
    return watch, None


def _halved(cohort: Cohort, run: Run, reason: Exception) -> list[Cohort]:
    """The halves of a cohort whose worker died; nothing is left of a single member, which has failed."""
    journal.forget(journal.folder_of(cohort))
    if cohort.members > 1:
        return list(cohort.halves())
    write_failure(cohort.shares[0].job, f"its process died, again and again\n{first_line(reason)}", run.identity)
    return []


@contextlib.contextmanager
def open_backend(config: Config, workers: int) -> Iterator[None]:
    """Make joblib use the configured backend with so many workers."""
    if config.backend == "ray":
        from ray.util.joblib import register_ray

        register_ray()
        with connected_ray() as ray:
            gpus = _ray_gpus(ray, config)
            with parallel_config("ray", n_jobs=workers, ray_remote_args={"num_cpus": 1, "num_gpus": 1 if gpus else 0}):
                yield
    elif config.backend == "dask":
        with connected_dask(), parallel_config("dask", n_jobs=workers):
            yield
    else:
        with parallel_config("loky", n_jobs=workers, inner_max_num_threads=max(1, usable_cores() // workers)):
            yield


@contextlib.contextmanager
def connected_ray() -> Iterator[Any]:
    """Ray, connected to the cluster that RAY_ADDRESS names or that runs on this machine, or else one of its own.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("backend=ray: Ray is not installed; pip install 'initlab[ray]'") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS", "")
        try:
            host, _, port = address.rpartition("://")[2].partition(":")
            if port:  # Ray itself would try for minutes
                socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
            ray.init(logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"backend=ray: no cluster at RAY_ADDRESS={address}: {first_line(error)}") from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


@contextlib.contextmanager
def connected_dask() -> Iterator[Any]:
    """A client of the Dask cluster that DASK_SCHEDULER_ADDRESS names, or else of one on this machine.

    Raises:
        UserError: Dask is not installed, or there is no cluster at that address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("backend=dask: Dask is not installed; pip install 'initlab[dask]'") from error
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    try:
        client = Client(address) if address else Client(n_workers=usable_cores(), threads_per_worker=1)
    except OSError as error:
        raise UserError(f"backend=dask: no cluster at DASK_SCHEDULER_ADDRESS={address}: {first_line(error)}") from error
    with client:
        yield client


def workers_of(config: Config) -> int:
    """How many workers a backend has: cores of this machine, or of the cluster; for training on GPUs, these."""
    accelerator = config.trainer["accelerator"]
    if config.backend == "ray":
        with connected_ray() as ray:
            return max(1, _ray_gpus(ray, config) or int(ray.cluster_resources().get("CPU", 1)))
    if config.backend == "dask":
        with connected_dask() as client:
            threads = list(client.nthreads().values())
        if any(count > 1 for count in threads):
            raise UserError(
                "backend=dask: a worker has several threads; start it with --nthreads 1, or --nworkers auto"
            )
        return max(1, len(threads))
    return torch.cuda.device_count() if trains_on_cuda(accelerator) else usable_cores()


def _ray_gpus(ray: Any, config: Config) -> int:
    """GPUs of a Ray cluster, if they are to be trained on."""
    wanted = config.trainer["accelerator"] in ("auto", "gpu", "cuda")
    return int(ray.cluster_resources().get("GPU", 0)) if wanted else 0


def _in_worker(cohort: Cohort, run: Run, attempt: str, main: tuple[str, int], folder: Path, path: list[str]) -> None:
    """Train one cohort; what a worker process is asked to do.

    Raises:
        UserError: the node has not the folder that the sweep was started from.
    """
    if main != (platform.node(), os.getpid()):  # joblib runs the work of a single worker in the main process
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process hears it, and ends this one
        _end_with_parent()
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(f"{folder}: not on {platform.node()}; all nodes must share the folder of a sweep") from error
    sys.path += [entry for entry in path if entry not in sys.path]
    config = cohort.shares[0].job.config
    load_plugins(config.plugins)
    quiet_libraries()
    torch.set_num_threads(1)
    own = journal.folder_of(cohort)
    report = _Reporter(own / PROGRESS, own.parent / ATTEMPT, attempt)
    gpus = torch.cuda.device_count() if trains_on_cuda(config.trainer["accelerator"]) else 0
    with plain_warnings(), own_gpu(own.parent, gpus) as device:
        run_cohort(cohort, replace(run, device=device), report.advance)
    report.write(finished=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, though it be idle."""
    name, parent = "initlab: parent", os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    if not any(thread.name == name for thread in threading.enumerate()):
        threading.Thread(target=watch, name=name, daemon=True).start()


class _AbandonedError(BaseException):
    """Nobody waits for this cohort any more: the sweep has ended, or has given it to another worker."""


class _Reporter:
    """Writes a cohort's progress into a file, now and then, and stops it when nobody wants it.

    Args:
        path: To write to.
        attempt: The file that says which attempt at the sweep is on.
        number: Of the attempt that this cohort belongs to.
    """

    def __init__(self, path: Path, attempt: Path, number: str) -> None:
        self._path, self._attempt, self._number = path, attempt, number
        self._done = 0.0
        self.write()

    def advance(self, member_epochs: float) -> None:
        """Count work done."""
        self._done += member_epochs
        if time.monotonic() - self._last > REPORT_SECONDS:
            self.write()

    def write(self, *, finished: bool = False) -> None:
        """Write the file; a full disk must not stop training."""
        try:
            wanted = self._attempt.read_text() == self._number
        except FileNotFoundError:
            wanted = False
        if not wanted:
            raise _AbandonedError
        self._last = time.monotonic()
        text = json.dumps({"done": self._done, "finished": finished})
        with contextlib.suppress(OSError):
            write_whole(self._path, lambda path: path.write_text(text))


class _Watch:
    """What the workers have told so far."""

    def __init__(
        self, cohorts: Sequence[Cohort], advance: Callable[[float], None], finished: Callable[[Cohort], None]
    ) -> None:
        self._waiting = {cohort: journal.folder_of(cohort) / PROGRESS for cohort in cohorts}
        self._advance, self._finished = advance, finished
        self.done: dict[Cohort, float] = {}
        self.finished: set[Cohort] = set()

    def look(self) -> None:
        """Read all progress files that may have changed, and pass on what is new."""
        for cohort, path in list(self._waiting.items()):
            try:
                report = json.loads(path.read_text())
            except (OSError, ValueError):  # not started
                continue
            self._advance(report["done"] - self.done.get(cohort, 0.0))
            self.done[cohort] = report["done"]
            if report["finished"]:
                del self._waiting[cohort]
                self.finished.add(cohort)
                self._finished(cohort)


@contextlib.contextmanager
def _watching(
    cohorts: Sequence[Cohort], advance: Callable[[float], None], finished: Callable[[Cohort], None]
) -> Iterator[_Watch]:
    """Watch the progress of cohorts in a thread."""
    watch, stop = _Watch(cohorts, advance, finished), threading.Event()

    def loop() -> None:
        while not stop.wait(REPORT_SECONDS):
            watch.look()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        watch.look()


@contextlib.contextmanager
def own_gpu(folder: Path, count: int) -> Iterator[int | None]:
    """Hold a GPU that no other worker of this machine holds: its index; None where there are not several.

    Args:
        folder: Where workers leave their locks.
        count: How many GPUs this machine has.
    """
    with contextlib.ExitStack() as held:
        for index in range(count) if count > 1 else ():
            try:
                held.enter_context(locked(folder / f"gpu-{index}-{platform.node()}.lock"))
            except UserError:  # another worker's
                continue
            yield index
            return
        yield None
