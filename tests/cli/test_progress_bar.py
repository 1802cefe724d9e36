"""How far a sweep is: an estimate that holds where networks differ in what they cost."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress

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


LONG = ("data=wine", "init=torch_default", "optim.lr=0.0316", "model.hidden=[64,64,64,64,64,64]", "seeds=4")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_bar_is_one_line_in_any_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a job's name is, and at every stage; a bar is seen, and how much is done, and how long it takes."""
    monkeypatch.setattr("initlab.cli.progress_bar.LEAST_SECONDS", -1.0)
    job = make_job(*LONG, "trainer.max_epochs=10")
    cohorts = [Cohort((Share(job, job.seeds),)) for _ in range(12)]
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    seconds = {cohorts[0].program: 1.0}
    frames: list[str] = []

    def look(bar: Progress) -> None:
        lines = console.render_lines(bar.get_renderable(), pad=False)
        assert len(lines) == 1
        frames.append("".join(segment.text for segment in lines[0]))

    with progress_bar(console, cohorts, seconds) as progress:
        bar = progress._bar
        look(bar)
        for cohort in cohorts:
            progress.start(cohort)
            look(bar)
            for _ in range(4):
                progress.advance(cohort, 10)
                look(bar)
            progress.finish(cohort)
            look(bar)
    assert all(" %" in frame for frame in frames)
    assert frames[-1].count("━") == max(4, width // 10)
    assert all(len(frame) <= width for frame in frames)
    assert "cohort 9 of 12" in frames[1 + 8 * 6]
    assert " 72 %" in frames[1 + 8 * 6 + 3]
    assert " left" in frames[1 + 8 * 6 + 3]
    assert "100 %" in frames[-1]
    assert "left" not in frames[-1]
    assert ("4 members" in frames[1]) is (width >= 80)
    assert ("member-epochs/s" in frames[-1]) is (width >= 100)


def test_99_percent_and_a_half_are_not_all() -> None:
    job = make_job("seeds=1", "trainer.max_epochs=1000")
    cohort = Cohort((Share(job, job.seeds),))
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with progress_bar(console, [cohort], {cohort.program: 1.0}) as progress:
        progress.advance(cohort, 996)
        (line,) = console.render_lines(progress._bar.get_renderable(), pad=False)
    assert " 99 %" in "".join(segment.text for segment in line)


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
