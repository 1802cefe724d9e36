"""What fails to learn at all is told why, beside its score."""

import html
import math
import time
from pathlib import Path

import pytest

from initlab.cli import explain_failures
from initlab.cli.run_report import run_report
from initlab.jobs.job import Job
from initlab.tables.store import read_metadata, write_metadata
from tests.helpers import QUICK, run

LINE = "zeros learned nothing: no weight gets any gradient, so that none of them ever moves."


@pytest.mark.usefixtures("undrawn")
def test_train_says_why_zeros_have_the_score_of_the_commonest_class(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m init=zeros,he model.depth=2 optim.lr=0.05,0.1 {QUICK}"
    calls = list[str]()
    look = explain_failures._look

    def counted(job: Job) -> object:
        calls.append(job.name)
        return look(job)

    monkeypatch.setattr(explain_failures, "_look", counted)
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert said.splitlines().count(LINE) == 1
    assert len(calls) == 1  # once for both learning rates, and not for what has learned
    study = tmp_path / "outputs" / "study"
    outlooks = {path.parent.name: read_metadata(path.parent).get("outlook") for path in study.glob("*/members.parquet")}
    assert sorted(map(str, outlooks.values())) == ["None", "None", "not trainable", "not trainable"]
    assert f"<li>{LINE}</li>" in run_report([study]).read_text()
    assert run(command, monkeypatch, tmp_path) == 0  # nothing is left to do: it is said all the same
    assert LINE in capsys.readouterr().out
    assert len(calls) == 1


def test_what_a_killed_command_left_unexplained_is_explained_by_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"init=zeros {QUICK}", monkeypatch, tmp_path) == 0
    (job,) = (path.parent for path in (tmp_path / "outputs" / "study").glob("*/members.parquet"))
    metadata = read_metadata(job)
    write_metadata(job, {key: value for key, value in metadata.items() if key not in ("outlook", "reason")})
    capsys.readouterr()
    assert run(f"init=zeros {QUICK}", monkeypatch, tmp_path) == 0
    assert LINE in capsys.readouterr().out
    assert read_metadata(job) == metadata


def test_it_takes_next_to_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"init=zeros model.depth=4 {QUICK}", monkeypatch, tmp_path) == 0
    from tests.helpers import make_job

    job = make_job("init=zeros", "model.depth=4")
    explain_failures._look(job)  # what is loaded once
    before = time.perf_counter()
    assert explain_failures._look(job)["outlook"] == "not trainable"
    assert time.perf_counter() - before < 1.0


def test_what_cannot_be_looked_at_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(explain_failures, "MOST_WEIGHTS", 3)
    assert run(f"init=zeros {QUICK}", monkeypatch, tmp_path) == 0
    (members,) = (tmp_path / "outputs" / "study").glob("*/members.parquet")
    assert "outlook" not in read_metadata(members.parent)


START = "init.output.name=normal, init.output.std=3: the loss starts at "


@pytest.mark.usefixtures("undrawn")
def test_a_start_far_above_a_guess_is_said_with_the_layer_that_does_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m init=he init.output={{name:normal,std:3}},zeros model.depth=2 optim.lr=0.01,0.02 {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "the loss starts at" in line]
    assert line.startswith(START)
    assert "; most of it is made by output, whose outputs have " in line
    study = tmp_path / "outputs" / "study"
    known = [read_metadata(path.parent) for path in study.glob("*/members.parquet")]
    assert [metadata["chance_loss"] for metadata in known] == [pytest.approx(math.log(3))] * 4
    zeros = [metadata["first_loss"] for metadata in known if "first_loss_by" not in metadata]
    assert zeros == [pytest.approx(math.log(3))] * 2
    assert f"<li>{line}</li>" in html.unescape(run_report([study]).read_text())
