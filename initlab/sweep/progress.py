"""How far a cohort is, from the process that trains it to the one that shows it: a small file."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from initlab.base.files import write_text_whole
from initlab.sweep.cohorts import Cohort
from initlab.sweep.journal import progress_of

WRITE_SECONDS = 0.5


class AbandonedError(BaseException):
    """Nobody waits for this cohort any more: the sweep has ended, or has given it to another worker."""


class ProgressFile:
    """Writes a cohort's progress into a file, now and then, and stops the cohort when nobody waits for it.

    Args:
        path: The progress file: JSON with `done`, in member-epochs, and `finished`.
        attempt: The file that says which attempt at the sweep is on.
        number: Number of the attempt that this cohort belongs to; once the file has another, the cohort is stopped.
    """

    def __init__(self, path: Path, attempt: Path, number: str) -> None:
        self._path, self._attempt, self._number = path, attempt, number
        self._done = 0.0
        self.write()

    def advance(self, member_epochs: float) -> None:
        """Count work done, and write the file if the last time is half a second ago.

        Raises:
            AbandonedError: nobody waits for this cohort any more.
        """
        self._done += member_epochs
        if time.monotonic() - self._last > WRITE_SECONDS:
            self.write()

    def write(self, *, finished: bool = False) -> None:
        """Write the file; a full disk must not stop training.

        Raises:
            AbandonedError: nobody waits for this cohort any more.
        """
        if not self._wanted():
            raise AbandonedError
        self._last = time.monotonic()
        text = json.dumps({"done": self._done, "finished": finished})
        with contextlib.suppress(OSError):
            write_text_whole(self._path, text)

    def _wanted(self) -> bool:
        """Whether this attempt is the one that is on; where that cannot be read, it is taken to be."""
        try:
            return self._attempt.read_text(encoding="utf-8") == self._number
        except FileNotFoundError:  # the sweep has ended
            return False
        except OSError:  # a shared disk that is away for a moment, say: no reason to lose a cohort
            return True


class Watch:
    """What the workers have told so far.

    Args:
        cohorts: Cohorts whose progress files are read.
        advance: Told of what has been done since the last look, in member-epochs.
        finish: Told of each cohort whose worker says that it has finished.
    """

    def __init__(
        self, cohorts: Sequence[Cohort], advance: Callable[[Cohort, float], None], finish: Callable[[Cohort], None]
    ) -> None:
        self._waiting = {cohort: progress_of(cohort) for cohort in cohorts}
        self._advance, self._finish = advance, finish
        self.done: dict[Cohort, float] = {}
        self.finished: set[Cohort] = set()

    def look(self) -> None:
        """Read all progress files that may have changed, and pass on what is new."""
        for cohort, path in list(self._waiting.items()):
            try:
                told = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):  # not started
                continue
            self._advance(cohort, told["done"] - self.done.get(cohort, 0.0))
            self.done[cohort] = told["done"]
            if told["finished"]:
                del self._waiting[cohort]
                self.finished.add(cohort)
                self._finish(cohort)


@contextlib.contextmanager
def watching(
    cohorts: Sequence[Cohort], advance: Callable[[Cohort, float], None], finish: Callable[[Cohort], None]
) -> Iterator[Watch]:
    """Watch the progress of cohorts in a thread, within a `with` block; at its end once more.

    Args:
        cohorts: Cohorts whose progress files are read, twice a second.
        advance: Told of what has been done since the last look, in member-epochs.
        finish: Told of each cohort whose worker says that it has finished.
    """
    watch, stop = Watch(cohorts, advance, finish), threading.Event()

    def loop() -> None:
        while not stop.wait(WRITE_SECONDS):
            watch.look()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
        watch.look()
