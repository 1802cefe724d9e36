"""Workers start before anything heavy is imported, where a command will surely have some."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from initlab.base.threads import usable_cores
from initlab.cli.train_study import gather_early, train_study
from initlab.sweep.cost import costs_of, surely_workers
from initlab.sweep.crew import Crew
from initlab.sweep.plan import make_schedule
from tests.helpers import make_job
from tests.sweep.helpers import tables_of

LARGE = ("experiment=classic_wine", "seeds=3000", "trainer.accelerator=cpu")
FORKS = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")
TWO = ("seeds=2", "trainer.accelerator=cpu", "n_jobs=2")


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a process that uses threads, as tests may."""
    monkeypatch.setattr("initlab.cli.train_study.may_fork_to_train", lambda: False)
    monkeypatch.setattr("initlab.sweep.cost.usable_cores", lambda: 4)
    monkeypatch.setattr("initlab.sweep.cost.room_for_workers", lambda: 4)


class Noted(Crew):
    """A crew that starts nobody."""

    def __init__(self) -> None:
        super().__init__("os")
        self.wanted, self.from_here = 0, False

    def gather(self, count: int, *, cores: int, may_fork: bool, from_here: bool = False) -> None:
        assert cores >= 1
        assert may_fork
        self.wanted, self.from_here = count, from_here


def wanted(folder: Path, jobs: Sequence[Sequence[str]]) -> int:
    crew = Noted()
    gather_early(crew, [make_job("trainer.accelerator=cpu", *job, output_dir=folder) for job in jobs])
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
        ([("experiment=classic_wine", "seeds=400")], 0),  # one cohort
        pytest.param([("experiment=classic_wine", "seeds=400", "compile=true")], 2, marks=FORKS),
        ([("experiment=classic_wine", "seeds=400", "compile=true", "n_jobs=1")], 0),
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


@pytest.mark.parametrize("bears", [True, False])
def test_they_are_forks_of_this_process_where_it_bears_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, bears: bool
) -> None:
    monkeypatch.setattr("initlab.cli.train_study.may_fork_to_train", lambda: bears)
    crew = Noted()
    gather_early(crew, [make_job(*LARGE, output_dir=tmp_path)])
    assert (crew.wanted, crew.from_here) == (3, bears)


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


SHARED = """
import sys, psutil
from initlab.cli.apps import train
from initlab.sweep.process import Worker

called = []
call = Worker.call
Worker.call = lambda self, name, *arguments: (called.append(name), call(self, name, *arguments))[1]
train()
heavy = ("lightning", "torch._dynamo", "torch.fx.experimental.symbolic_shapes")
print(sorted(called), [name for name in heavy if name in sys.modules])
print([child.pid for child in psutil.Process().children()])
"""


@FORKS
def test_a_process_whose_forks_train_does_not_import_what_trains(tmp_path: Path) -> None:
    """They are asked what takes that, too, and end with the command; nor does looking why zeros learned nothing."""
    command = "-m init=zeros activation=relu,tanh seeds=2 trainer.max_epochs=2 trainer.accelerator=cpu n_jobs=2 name=s"
    told = subprocess.run(
        [sys.executable, "-c", SHARED, *command.split(), "report=false"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stderr == ""
    called, children = told.stdout.splitlines()[-2:]
    if usable_cores() > 1:
        assert called == "['call', 'call', 'train_in_crew', 'train_in_crew'] []"
    assert children == "[]"
    assert len(tables_of(tmp_path / "outputs" / "s")) == 2
