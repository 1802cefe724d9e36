"""What goes wrong while a sweep runs, really made to happen."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch

from initlab.cohort.run import train_cohort
from initlab.sweep import worker
from initlab.tables.store import read_config, read_metadata, read_table
from tests.commands import Commands
from tests.helpers import QUICK, run
from tests.sweep.helpers import FAILING, assert_same_tables, tables_of

# A cohort of two jobs, and four cohorts of a convolutional network each, with checkpoints after each epoch.
SWEEP = "-m data=wine,digits init=he,xavier seeds=2 trainer.max_epochs=10 checkpoint_seconds=0 n_jobs=2"
# Four cohorts of two jobs each, of one compiled program, with a smaller last batch in every epoch.
COMPILED = (
    "-m init=he,xavier,normal,lecun,he_uniform,xavier_uniform,uniform,lecun_uniform model.dropout=0.2 seeds=2 "
    "trainer.max_epochs=30 checkpoint_seconds=0 n_jobs=2 compile=true max_members=4"
)
JOBS = [
    f"data={data} init={init} seeds=2 trainer.max_epochs=4 checkpoint_seconds=0 n_jobs=1 logger=tensorboard "
    "trainer.accelerator=cpu"  # where convolutions go one after another
    for data in ("wine", "digits")
    for init in ("he", "xavier")
]


class Found(NamedTuple):
    """What is in a study's folder."""

    finished: int = 0  # jobs
    checkpoint: bool = False
    kept: bool = False  # results of a cohort
    partial: int = 0  # files that were being written

    @classmethod
    def of(cls, study: Path) -> "Found":
        return cls(
            len(list(study.glob("*/members.parquet"))),
            bool(list(study.glob(".cohorts/*/checkpoint.ckpt"))),
            bool(list(study.glob(".cohorts/*/members.parquet"))),
            len(list(study.rglob("*.partial"))),
        )


# Before which step on the disk a run is killed, the how manieth of its kind, and what is there then; one after another.
KILLS = [
    ("os.rename *.cohorts/*/manifest.json", 1, Found(partial=1)),
    ("os.rename *.cohorts/*/checkpoint.ckpt", 1, Found(partial=1)),
    ("os.rename *.cohorts/*/checkpoint.ckpt", 2, Found(partial=1, checkpoint=True)),
    ("os.rename *.cohorts/*/members.parquet", 1, Found(partial=1, checkpoint=True)),
    ("os.remove *.cohorts/*/checkpoint.ckpt", 1, Found(checkpoint=True, kept=True)),
    ("os.rename */data=wine,init=he*/members.parquet", 1, Found(partial=1, checkpoint=True, kept=True)),
    ("os.rename */data=wine,init=xavier*/config.yaml", 1, Found(partial=1, checkpoint=True, kept=True, finished=1)),
    ("os.rename *.cohorts/*/checkpoint.ckpt", 3, Found(partial=1, checkpoint=True, kept=True, finished=2)),
    ("os.rename */data=digits,init=he*/members.parquet", 1, Found(partial=1, checkpoint=True, kept=True, finished=2)),
    ("os.remove checkpoint.ckpt", 1, Found(checkpoint=True, kept=True, finished=3)),  # its cohort is being forgotten
    ("os.rename */summary.csv", 1, Found(partial=1, finished=4)),
]


@pytest.fixture(scope="module")
def undisturbed(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the jobs were trained without a kill; steps.txt has the steps on the disk."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert commands.wait(commands.start_study(JOBS, folder)) == 0
    return folder


def assert_as_if_undisturbed(folder: Path, undisturbed: Path) -> None:
    study = folder / "outputs" / "test"
    assert_same_tables(study, undisturbed / "outputs" / "test")
    assert len(pd.read_csv(study / "summary.csv")) == 4
    assert not (study / ".cohorts").exists()
    assert not list(study.rglob("*.partial"))


def test_a_killed_sweep_loses_nothing_and_ends_the_same(commands: Commands, undisturbed: Path, tmp_path: Path) -> None:
    for before, number, found in KILLS:
        process = commands.start_study(JOBS, tmp_path, before=before, number=number)
        assert commands.wait(process) == -signal.SIGKILL, before
        assert Found.of(tmp_path / "outputs" / "test") == found, before
    assert commands.wait(commands.start_study(JOBS, tmp_path)) == 0
    assert_as_if_undisturbed(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_sweep_may_be_killed_before_any_step_on_the_disk(
    commands: Commands, undisturbed: Path, tmp_path: Path
) -> None:
    """One step after another in a study of its own; it then ends as if undisturbed."""
    steps = len((undisturbed / "steps.txt").read_text().splitlines())
    assert steps > 100
    for number in range(1, steps + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = commands.start_study(JOBS, folder, before="*", number=number)
        assert commands.wait(process) == -signal.SIGKILL, number
        assert commands.wait(commands.start_study(JOBS, folder)) == 0
        assert_as_if_undisturbed(folder, undisturbed)
        shutil.rmtree(folder)


# Before which step on the disk a run is killed that adds two seeds to the two of each job, and what he has then.
HE, XAVIER = (f"init={init},signal.every=2,trainer.max_epochs=4" for init in ("he", "xavier"))
EXTENSION_KILLS = [
    ("os.rename *.cohorts/*/members.parquet", 2),
    (f"os.rename */{HE}/.begun.*/config.yaml", 2),
    (f"os.rename */{HE}/.begun.*/members.parquet", 2),
    (f"os.rename */{HE}/.together", 2),  # until here it is as it was
    (f"os.rename */{HE}/config.yaml", 4),
    (f"os.rename */{HE}/members.parquet", 4),  # what the run before had not moved to its place
    (f"os.rmdir */{HE}/.together", 4),
    (f"os.rename */{XAVIER}/.together", 4),
    (f"os.rename */{XAVIER}/history.parquet", 4),
    (f"os.rename */{XAVIER}/signal.parquet", 4),
    ("os.rename */summary.csv", 4),
]


def jobs_with(seeds: int) -> list[str]:
    more = "trainer.max_epochs=4 signal.every=2 checkpoint_seconds=0 n_jobs=1 logger=tensorboard"
    return [f"init={init} seeds={seeds} {more}" for init in ("he", "xavier")]


def seeds_in(job: Path) -> int:
    """How many seeds a job's files have, which all say the same; the first two are in them as they were."""
    members, history, signal = (read_table(job, name) for name in ("members", "history", "signal"))
    counts = {len(read_metadata(job)["seeds"]), read_config(job)["seeds"]}
    counts |= {table["member"].nunique() for table in (members, history, signal)}
    assert list(members["member"]) == list(members["seed"]) == list(range(len(members)))
    assert signal["seed"].equals(signal["member"])
    (count,) = counts
    return int(count)


@pytest.fixture(scope="module")
def extended(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where two jobs have two seeds, and where two more were added without a kill; steps.txt has the steps of that."""
    few, more = (tmp_path_factory.mktemp(name) for name in ("few", "more"))
    assert commands.wait(commands.start_study(jobs_with(2), few)) == 0
    shutil.copytree(few, more, dirs_exist_ok=True)
    assert commands.wait(commands.start_study(jobs_with(4), more)) == 0
    return few, more


def assert_extended(folder: Path, extended: tuple[Path, Path]) -> None:
    few, more = (path / "outputs" / "test" for path in extended)
    study = folder / "outputs" / "test"
    assert_same_tables(study, more)
    for name, tables in tables_of(few).items():
        assert seeds_in(study / name) == 4
        for one, other in zip(tables_of(study)[name], tables, strict=True):
            pd.testing.assert_frame_equal(one[one["member"] < 2].reset_index(drop=True), other, check_exact=True)
    assert len(pd.read_csv(study / "summary.csv")) == 2
    assert not (study / ".cohorts").exists()
    assert not [path for path in study.rglob(".*") if path.name != ".lock"]


@pytest.mark.slow
def test_a_kill_while_seeds_are_added_leaves_all_old_tables_or_all_new_ones(
    commands: Commands, extended: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(extended[0], tmp_path, dirs_exist_ok=True)
    for before, seeds in EXTENSION_KILLS:
        process = commands.start_study(jobs_with(4), tmp_path, before=before)
        assert commands.wait(process) == -signal.SIGKILL, before
        assert seeds_in(tmp_path / "outputs" / "test" / HE) == seeds, before
        assert seeds_in(tmp_path / "outputs" / "test" / XAVIER) in (2, 4), before
    assert commands.wait(commands.start_study(jobs_with(4), tmp_path)) == 0
    assert_extended(tmp_path, extended)


@pytest.mark.slow
def test_adding_seeds_may_be_killed_before_any_step_on_the_disk(
    commands: Commands, extended: tuple[Path, Path], tmp_path: Path
) -> None:
    steps = len((extended[1] / "steps.txt").read_text().splitlines())
    assert steps > 50
    for number in range(1, steps + 1):
        folder = tmp_path / str(number)
        shutil.copytree(extended[0], folder)
        assert commands.wait(commands.start_study(jobs_with(4), folder, before="*", number=number)) == -signal.SIGKILL
        assert {seeds_in(folder / "outputs" / "test" / name) for name in (HE, XAVIER)} <= {2, 4}, number
        assert commands.wait(commands.start_study(jobs_with(4), folder)) == 0
        assert_extended(folder, extended)
        shutil.rmtree(folder)


def changes(study: Path) -> frozenset[tuple[Path, int]]:
    """What can be seen of a sweep's progress from outside: checkpoints, how far workers are, and finished jobs."""
    seen = set()
    for pattern in (".cohorts/*/checkpoint.ckpt", ".cohorts/*/progress.json", "*/members.parquet"):
        for path in study.glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                seen.add((path, path.stat().st_mtime_ns))
    return frozenset(seen)


def follow(process: subprocess.Popen[bytes], study: Path, most: int | None = None) -> int:
    """Count what changes in a study until its process ends, or until so much has; how much has."""
    count, before = 0, changes(study)
    while process.poll() is None and count != most:
        now = changes(study)
        count, before = count + (now != before), now
        time.sleep(0.005)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [SWEEP, COMPILED], ids=["uncompiled", "compiled"])
def test_a_killed_sweep_in_a_pool_loses_nothing_and_ends_the_same(sweep: str, tmp_path: Path) -> None:
    """As users run it: each run a process of its own, with two workers, killed after so many changes on the disk."""
    chance = random.Random(0)

    def start(name: str) -> subprocess.Popen[bytes]:
        # The first compiled runs find no program, and some are killed while they make it or keep it.
        programs = tmp_path / ("programs" if name.startswith("study") else "programs of another")
        return subprocess.Popen(
            [sys.executable, "-m", "initlab.train", *sweep.split(), "report=false", f"name={name}"],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "INITLAB_COMPILED": str(programs)},
        )  # fmt: skip

    process = start("undisturbed")
    whole = follow(process, tmp_path / "outputs" / "undisturbed")
    assert process.wait() == 0
    assert whole > 30
    kills: list[Found] = []
    studies = 0
    while len(kills) < 20 or (len(set(kills)) <= 5 and len(kills) < 60):
        studies += 1
        study = tmp_path / "outputs" / f"study{studies}"
        code = None
        while code != 0:
            process = start(study.name)
            follow(process, study, chance.randint(1, whole // 3) if len(kills) < 20 else None)
            process.kill()
            code = process.wait()
            if code != 0:
                kills.append(Found.of(study))
        assert_same_tables(study, tmp_path / "outputs" / "undisturbed")
    assert len(set(kills)) > 5  # they fell into different moments
    assert sum(found.checkpoint for found in kills) > 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(folder)]
    if os.name != "posix" or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of TensorBoard's own threads
@pytest.mark.parametrize("logger", ["none", pytest.param("tensorboard", marks=pytest.mark.slow)])
def test_a_full_disk_fails_jobs_that_train_when_there_is_space(
    logger: str, small_disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = f"-m init=he,xavier,zeros optim.lr=0.1,0.01,0.001 {QUICK} logger={logger} output_dir={small_disk}"
    assert run(command, monkeypatch, tmp_path) == 1
    said = capfd.readouterr()
    assert "of 9 jobs failed" in said.err
    assert "No space left on device" in said.out + said.err
    assert logger != "none" or "Traceback" not in said.err
    assert not list(small_disk.rglob("*.partial"))
    written = tables_of(small_disk / "study")
    assert len(written) < 9
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert run(command, monkeypatch, tmp_path) == 0
    elsewhere = tmp_path / "elsewhere"
    assert run(command.replace(str(small_disk), str(elsewhere)), monkeypatch, tmp_path) == 0
    assert_same_tables(small_disk / "study", elsewhere / "study", rtol=1e-4)


def test_a_read_only_folder(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for mode in ("", "-m"):
        assert run(f"{mode} init=he {QUICK} output_dir={small_disk}", monkeypatch, tmp_path) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "set output_dir=DIR" in line


def test_a_job_that_needs_more_memory_than_there_is_fails_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"-m {FAILING} +model.how=no,allocates init=he {QUICK}", monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "1 of 2 jobs failed" in said.err
    assert "can't allocate memory" in said.out or "Storage size calculation overflowed" in said.out
    assert len(tables_of(tmp_path / "outputs" / "study")) == 1


def test_a_cohort_that_does_not_fit_into_memory_is_halved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = "-m init=he,xavier,zeros logger=none seeds=3 trainer.max_epochs=2 n_jobs=1"
    assert run(f"{command} name=whole", monkeypatch, tmp_path) == 0
    sizes = list[int]()

    def small_memory(shares: Any, *arguments: Any, **settings: Any) -> Any:
        sizes.append(sum(len(share.seeds) for share in shares))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_cohort(shares, *arguments, **settings)

    monkeypatch.setattr(worker, "train_cohort", small_memory)
    assert run(f"{command} name=halved", monkeypatch, tmp_path) == 0
    assert sizes == [9, 4, 2, 2, 5, 2, 3]
    outputs = tmp_path / "outputs"
    assert_same_tables(outputs / "halved", outputs / "whole", rtol=1e-4)
    assert not (outputs / "halved" / ".cohorts").exists()


@pytest.mark.slow
def test_two_sweeps_at_once(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused, and says who is at work; when the first is gone, it runs."""
    first = commands.start("-m init=he,xavier logger=none name=study trainer.max_epochs=100000 n_jobs=1", tmp_path)
    lock = tmp_path / "outputs" / "study" / ".lock"
    while not (lock.exists() and lock.read_text()):
        time.sleep(0.05)
    for other in (f"-m init=he,xavier {QUICK}", f"init=zeros {QUICK}"):
        assert run(other, monkeypatch, tmp_path) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"process {first} on {os.uname().nodename} is at work here" in line
    os.kill(first, signal.SIGKILL)
    assert commands.wait(first) == -signal.SIGKILL
    assert run(f"-m init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0


def test_sweeps_without_a_name_never_share_a_folder(commands: Commands, tmp_path: Path) -> None:
    command = "-m init=he,xavier logger=none seeds=1 trainer.max_epochs=1"
    both = [commands.start(command, tmp_path) for _ in range(2)]
    assert [commands.wait(process) for process in both] == [0, 0]
    studies = list((tmp_path / "outputs").iterdir())
    assert [len(tables_of(study)) for study in studies] == [2, 2]


def test_nor_do_those_of_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As commands that a notebook gives, one of which has a name."""
    command = "-m init=he logger=none seeds=1 trainer.max_epochs=1"
    for name in ("name=first", "", ""):
        assert run(f"{command} {name}", monkeypatch, tmp_path) == 0
        time.sleep(1e-3)
    studies = list((tmp_path / "outputs").iterdir())
    assert [len(tables_of(study)) for study in studies] == [1, 1, 1]


def test_what_a_killed_process_was_writing_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = tmp_path / "outputs" / "study" / "init=he" / ".members.parquet.1.partial"
    left.parent.mkdir(parents=True)
    left.touch()
    assert run(f"-m init=he {QUICK}", monkeypatch, tmp_path) == 0
    assert not left.exists()


def test_what_failed_is_listed_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken").touch()
    command = f"-m {FAILING} +model.how=raises_while_broken,no init=he,xavier {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "2 of 4 jobs failed" in said.err
    assert said.out.count("ArithmeticError: broken on purpose") == 2
    study = tmp_path / "outputs" / "study"
    finished = {path.parent: path.stat().st_mtime_ns for path in study.glob("*/members.parquet")}
    assert len(finished) == 2
    for path in study.glob("*/error.txt"):
        assert "Traceback" in path.read_text()
        assert read_metadata(path.parent)["status"] == "failed"
    (tmp_path / "broken").unlink()
    assert run(command, monkeypatch, tmp_path) == 0
    assert "2 of 4 jobs are finished already" in capsys.readouterr().out
    assert len(tables_of(study)) == 4
    assert not list(study.glob("*/error.txt"))
    for folder, written in finished.items():
        assert (folder / "members.parquet").stat().st_mtime_ns == written


def test_an_interrupt_that_another_error_hides_stops_the_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where Ctrl-C meets a thread that waits for others: Python's lock then says that it was never taken."""
    cohorts = []

    def interrupted(shares: Any, *_: Any, **__: Any) -> None:
        cohorts.append(shares)
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("cannot release un-acquired lock")

    monkeypatch.setattr(worker, "train_cohort", interrupted)
    assert run(f"-m data=digits init=he,zeros n_jobs=1 {QUICK}", monkeypatch, tmp_path) == 130
    assert len(cohorts) == 1
    assert not list(tmp_path.rglob("error.txt"))


def test_fail_fast_stops_at_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m {FAILING} +model.how=no,raises batch_size=16,32 init=he {QUICK}"
    assert run(f"{command} fail_fast=true n_jobs=1", monkeypatch, tmp_path) == 1
    assert "fail_fast is set" in capsys.readouterr().err
    study = tmp_path / "outputs" / "study"
    assert len(list(study.glob("*/error.txt"))) == 1
    assert len(tables_of(study)) == 2
