"""Looking at schemes before training is shown, and dear ones come last or not at all."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from initlab.cli import screening
from initlab.cli.apps import recommend as main
from initlab.cli.screening import is_dear, screening_bar, seconds_to_build, split_by_cost
from initlab.jobs.job import Job
from initlab.jobs.member import Member
from tests.helpers import make_job, run


def test_dear_schemes_come_last_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_job(f"init={name}") for name in ("metainit", "he", "gradinit", "lsuv")]
    assert [is_dear(job) for job in jobs] == [True, False, True, False]
    monkeypatch.setattr(screening, "seconds_to_build", lambda job: {"metainit": 20.0, "gradinit": 1.0}[job.init.scheme])
    left, lines = split_by_cost(jobs, 88, 10)
    assert [job.init.scheme for job in left] == ["he_normal", "lsuv", "gradinit"]
    assert lines == [
        "left out: metainit fits each network by steps of its own: 88 networks would take about 29 min, and "
        "recommend.max_minutes=10",
        "gradinit fits each network by steps of its own: 88 s if it trains, too",
    ]
    left, _ = split_by_cost(jobs, 88, None)
    assert [job.init.scheme for job in left] == ["he_normal", "lsuv", "metainit", "gradinit"]


def test_the_estimate_is_that_of_one_step_times_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on with each gradient that is taken, as nothing else takes long."""
    gradients, grad = 0, torch.autograd.grad

    def counted(*arguments: Any, **settings: Any) -> Any:
        nonlocal gradients
        gradients += 1
        return grad(*arguments, **settings)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    monkeypatch.setattr(screening, "time", SimpleNamespace(perf_counter=lambda: float(gradients)))
    job = make_job("init=metainit", "init.steps=40", "model.depth=4")
    estimated = seconds_to_build(job)
    before = gradients
    job.build_member(job.members()[0])
    assert estimated == gradients - before
    assert estimated >= 40


def test_what_is_done_once_is_no_part_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is built in 3 seconds and takes 2 a step, 203 for 100 of them; it is loaded in 60, once."""
    clock = [0.0]
    loading = [60.0]

    def build(_: Job, member: Member) -> None:
        clock[0] += 3.0 + 2.0 * member.init.parameters["steps"] + (loading.pop() if loading else 0.0)

    monkeypatch.setattr(Job, "build_member", build)
    monkeypatch.setattr(screening, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert seconds_to_build(make_job("init=gradinit", "init.steps=100")) == pytest.approx(203)


@pytest.mark.slow
def test_it_is_said_and_where_there_is_no_terminal_a_line_a_scheme(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "init=he,zeros,metainit,fixup seeds=2 trainer.max_epochs=1 recommend.rates=1 logger=none name=study"
    assert run(f"{command} recommend.max_minutes=0.0001", monkeypatch, tmp_path, program=main) == 0
    said = capsys.readouterr().out
    assert "looking at 4 schemes before training" in said
    assert "left out: metainit fits each network by steps of its own: 6 networks would take about " in said
    assert "  he_normal: trainable, after " in said
    assert "  zeros: not trainable, after " in said
    assert "  fixup: left out, after " in said
    assert "  metainit:" not in said
    assert run(f"{command} recommend.max_minutes=0", monkeypatch, tmp_path, program=main) == 2
    assert "recommend.max_minutes=0: expected minutes above 0, or null for any" in capsys.readouterr().err


def test_a_terminal_has_a_bar() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with screening_bar(console, 2) as progress:
        progress.start("he")
        progress.finish("he", "trainable")
        progress.start("metainit")
    assert "looking at metainit" in out.getvalue()
    assert "1/2" in out.getvalue()
    assert "after" not in out.getvalue()


def test_its_bar_is_one_line_in_a_narrow_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=40)
    with screening_bar(console, 33) as progress:
        progress.start("delta_orthogonal")
        (line,) = console.render_lines(progress._bar.get_renderable(), pad=False)
    text = "".join(segment.text for segment in line)
    assert text.startswith("looking")
    assert "…" in text  # for the middle of what it is called
    assert " 0/33 -:--:--" in text
