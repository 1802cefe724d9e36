"""How far a sweep is: an estimate that holds where networks differ in what they cost."""

import io

import pytest
from rich.console import Console

from initlab.base.wording import duration_text
from initlab.cli.progress_bar import Pace, progress_bar
from initlab.jobs.share import Share
from initlab.sweep.cohorts import Cohort
from tests.helpers import make_job


class Clock:
    """A clock that stands until it is told to go."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_extrapolated_from_nothing() -> None:
    clock = Clock()
    pace = Pace(100.0, clock)
    assert pace.remaining() is None
    clock.now = 60  # a minute of building networks, before the first word
    pace.add(0.5)
    assert pace.remaining() is None
    clock.now = 62
    pace.add(1.0)
    assert pace.remaining() is None
    clock.now = 70
    pace.add(9.0)
    assert pace.remaining() == pytest.approx(89.5)  # 10 in 10 s: not the 700 s that the first minute suggests


def test_what_stands_still_takes_longer() -> None:
    clock = Clock()
    pace = Pace(100.0, clock)
    pace.add(0)
    clock.now = 10
    pace.add(10)
    assert pace.remaining() == pytest.approx(90)
    clock.now = 20
    assert pace.remaining() == pytest.approx(180)


def test_dear_cohorts_first_do_not_make_the_rest_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolutional network of 10 s, then 9 dense ones of 1 s each: counted in member-epochs, 100 s would be left."""
    jobs = [make_job("data=digits", "model=cnn", "seeds=1", "trainer.max_epochs=10")]
    jobs += [make_job("model=mlp", f"batch_size={size}", "seeds=1", "trainer.max_epochs=10") for size in range(20, 29)]
    cohorts = [Cohort((Share(job, job.seeds),)) for job in jobs]
    seconds = {cohort.program: (10 if place == 0 else 1) / 10 for place, cohort in enumerate(cohorts)}
    clock = Clock()
    monkeypatch.setattr("initlab.cli.progress_bar.time.monotonic", clock)
    monkeypatch.setattr(Pace.__init__, "__defaults__", (clock,))
    with progress_bar(Console(file=io.StringIO()), cohorts, seconds) as progress:
        progress.advance(cohorts[0], 0)
        for _ in range(10):
            clock.now += 1
            progress.advance(cohorts[0], 1)
        assert progress._work.remaining() == pytest.approx(9)
        assert progress._bar.tasks[0].percentage == pytest.approx(100 * 10 / 19)


def test_a_block_of_steps_tells_of_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress moves within a block, of which an epoch may have one, and adds up to all of it."""
    from initlab.sweep import worker
    from tests.helpers import train

    monkeypatch.setattr(worker, "TELL_SECONDS", -1.0)
    told: list[float] = []
    job = make_job("seeds=3", "trainer.max_epochs=2", "batch_size=20")
    train(job, callbacks=[worker._Progress(told.append)])
    assert len([one for one in told if one]) == 2 * 6  # steps of 20 out of 113 rows
    assert sum(told) == pytest.approx(6)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (59.6, "60 s"), (100, "2 min"), (1860, "31 min"), (7200, "2.0 h")]
)
def test_times_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
