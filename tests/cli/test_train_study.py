"""Workers start before anything heavy is imported, where a command will surely have some."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from initlab.cli.train_study import gather_early, train_study
from initlab.sweep.cost import costs_of, surely_workers
from initlab.sweep.crew import Crew
from initlab.sweep.plan import make_schedule
from tests.helpers import make_job

LARGE = ("experiment=classic_wine", "seeds=3000", "trainer.accelerator=cpu")
TWO = ("seeds=2", "trainer.accelerator=cpu", "n_jobs=2")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("initlab.sweep.cost.usable_cores", lambda: 4)
    monkeypatch.setattr("initlab.sweep.cost.room_for_workers", lambda: 4)


class Noted(Crew):
    """A crew that starts nobody."""

    def __init__(self) -> None:
        super().__init__("os")
        self.wanted = 0

    def gather(self, count: int, *, cores: int, may_fork: bool) -> None:
        assert cores >= 1
        assert may_fork
        self.wanted = count


def wanted(folder: Path, jobs: Sequence[Sequence[str]]) -> int:
    crew = Noted()
    gather_early(crew, [make_job(*job, output_dir=folder) for job in jobs])
    return crew.wanted


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([LARGE], 3),  # of cohorts of up to 1,000
        ([(*LARGE, "trainer.max_epochs=1")], 0),  # too little to do
        ([(*LARGE, "trainer.max_epochs=1", "n_jobs=4")], 3),
        ([TWO, (*TWO, "activation=elu")], 2),  # two programs
        ([TWO, (*TWO, "init=he")], 0),  # one
        ([(*LARGE, "max_members=3000")], 0),
        ([("experiment=classic_wine", f"seeds={count}", "n_jobs=4") for count in (600, 700)], 0),  # of the same seeds
        ([(*TWO, f"activation={name}") for name in ("relu", "tanh", "elu")], 2),  # as n_jobs says
        ([(*LARGE, "dry_run=true")], 0),
        ([(*LARGE, "trainer.accelerator=cuda")], 3),  # there is no GPU: it trains on the CPU, or not at all
        ([(*LARGE, "data._target_=tests.data.nothing")], 0),  # the user's own
    ],
)
def test_workers_start_early_where_there_will_be_some(
    jobs: Sequence[Sequence[str]], expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert wanted(tmp_path, jobs) == expected


def test_none_start_for_a_study_of_which_something_is_there(tmp_path: Path) -> None:
    folder = make_job(*LARGE, output_dir=tmp_path).study_folder
    (folder / ".cohorts").mkdir(parents=True)  # what was begun, and has no results
    assert wanted(tmp_path, [LARGE]) == 3
    (folder / "init=he").mkdir()
    assert wanted(tmp_path, [LARGE]) == 0


@pytest.mark.parametrize("jobs", [[LARGE], [TWO, (*TWO, "activation=elu")], [(*LARGE, "max_members=3000")]])
def test_those_that_start_are_those_that_are_needed(jobs: Sequence[Sequence[str]], tmp_path: Path) -> None:
    made = [make_job(*job, output_dir=tmp_path) for job in jobs]
    assert surely_workers(made) <= make_schedule(made, made, {}, most_workers=4).workers
    assert all(cost.vectorized for cost in costs_of(made).values())


def test_workers_that_started_end_with_what_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crews: list[Crew] = []

    def refuse(_: object, *, crew: Crew, **__: Any) -> None:
        crews.append(crew)
        raise KeyError

    started: list[int] = []
    monkeypatch.setattr("initlab.cli.run_train.run_study", refuse)
    monkeypatch.setattr(Crew, "__exit__", lambda *_: started.append(1))
    with pytest.raises(KeyError):
        train_study([make_job(*TWO, output_dir=tmp_path)])
    assert len(crews) == len(started) == 1
