"""How far a cohort is, told through a file."""

import contextlib
import json
import threading
import time
from pathlib import Path

import pytest

from initlab.sweep import journal, progress
from initlab.sweep.cohorts import Cohort, cut
from initlab.sweep.progress import AbandonedError, ProgressFile, Watch, watching
from tests.helpers import make_job
from tests.sweep.helpers import whole


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """The file that says that attempt 7 is on."""
    path = tmp_path / "attempt"
    path.write_text("7")
    return path


@pytest.fixture
def cohorts(tmp_path: Path) -> list[Cohort]:
    """Two cohorts of two members each."""
    return cut([whole(make_job("init=he", "seeds=4", output_dir=tmp_path))], 2)


def told(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found


def tell(cohort: Cohort, done: float, *, finished: bool = False) -> None:
    path = journal.progress_of(cohort)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"done": done, "finished": finished}))


def test_a_worker_tells_that_it_has_begun_how_far_it_is_and_that_it_has_finished(
    tmp_path: Path, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = tmp_path / "cohort" / "progress.json", [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    writer = ProgressFile(path, attempt, "7")
    assert told(path) == {"done": 0.0, "finished": False}
    writer.advance(1.5)
    assert told(path)["done"] == 0.0  # not with every step
    now[0] += progress.WRITE_SECONDS + 0.1
    writer.advance(2.0)
    assert told(path) == {"done": 3.5, "finished": False}
    writer.advance(-3.0)
    writer.write(finished=True)
    assert told(path) == {"done": 0.5, "finished": True}


@pytest.mark.parametrize("end", ["another attempt", "no attempt"])
def test_a_worker_for_which_nobody_waits_stops(end: str, tmp_path: Path, attempt: Path) -> None:
    path = tmp_path / "progress.json"
    writer = ProgressFile(path, attempt, "7")
    attempt.write_text("8") if end == "another attempt" else attempt.unlink()
    with pytest.raises(AbandonedError):
        writer.write(finished=True)
    assert told(path) == {"done": 0.0, "finished": False}
    with pytest.raises(AbandonedError):
        ProgressFile(tmp_path / "late.json", attempt, "7")
    assert not (tmp_path / "late.json").exists()
    assert not issubclass(AbandonedError, Exception)  # no failure of the job, which another trains


def test_an_attempt_that_cannot_be_read_is_taken_to_be_on(tmp_path: Path, attempt: Path) -> None:
    """As where a shared disk is away for a moment."""
    writer = ProgressFile(tmp_path / "progress.json", attempt, "7")
    attempt.unlink()
    attempt.mkdir()  # reading it is an OSError, and not that there is none
    writer.write(finished=True)
    assert told(tmp_path / "progress.json") == {"done": 0.0, "finished": True}


def test_a_full_disk_does_not_stop_training(tmp_path: Path, attempt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ProgressFile(tmp_path / "progress.json", attempt, "7")

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(progress, "write_text_whole", full)
    writer.write(finished=True)
    assert not told(tmp_path / "progress.json")["finished"]


def test_a_watch_passes_on_what_is_new(cohorts: list[Cohort]) -> None:
    first, second = cohorts
    advanced, finished = list[tuple[Cohort, float]](), list[Cohort]()
    watch = Watch(cohorts, lambda *told: advanced.append(told), finished.append)
    watch.look()
    assert (advanced, finished, watch.done) == ([], [], {})
    tell(first, 3.0)
    watch.look()
    tell(first, 5.0)
    tell(second, 1.0)
    watch.look()
    assert advanced == [(first, 3.0), (first, 2.0), (second, 1.0)]
    tell(second, 2.0, finished=True)
    tell(first, 4.0)  # has taken work back
    watch.look()
    assert advanced[3:] == [(first, -1.0), (second, 1.0)]
    assert finished == [second]
    assert watch.finished == {second}
    assert watch.done == {first: 4.0, second: 2.0}
    tell(second, 9.0, finished=True)
    watch.look()
    assert finished == [second]  # once
    assert sum(done for _, done in advanced) == 6.0


def test_what_is_being_written_is_looked_at_again(cohorts: list[Cohort]) -> None:
    advanced = list[tuple[Cohort, float]]()
    watch = Watch(cohorts, lambda *told: advanced.append(told), lambda _: None)
    tell(cohorts[0], 1.0)
    journal.progress_of(cohorts[0]).write_text('{"done": 1.')
    watch.look()
    assert advanced == []
    tell(cohorts[0], 1.0)
    watch.look()
    assert advanced == [(cohorts[0], 1.0)]


def test_a_watch_looks_by_itself(cohorts: list[Cohort], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "WRITE_SECONDS", 0.01)
    seen = threading.Event()
    with watching(cohorts, lambda _, done: seen.set() if done == 2.0 else None, lambda _: None):
        tell(cohorts[0], 2.0)
        assert seen.wait(60)


def test_a_watch_looks_once_more_in_the_end(cohorts: list[Cohort], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ended it: who is not finished then is trained again."""
    monkeypatch.setattr(progress, "WRITE_SECONDS", 3600.0)
    advanced, finished = list[tuple[Cohort, float]](), list[Cohort]()
    watched = watching(cohorts, lambda *told: advanced.append(told), finished.append)
    with contextlib.suppress(ArithmeticError), watched as watch:
        tell(cohorts[1], 2.0, finished=True)
        raise ArithmeticError
    assert advanced == [(cohorts[1], 2.0)]
    assert finished == [cohorts[1]]
    assert watch.finished == {cohorts[1]}
