"""The report of a probe says what was probed, and what was left out."""

from pathlib import Path
from typing import Any

import pytest

from initlab.cli.run_report import run_report
from initlab.reporting.document import Part, Points, Report
from initlab.reporting.probing import ProbedJob, compose_probe_report, probe_title
from tests.cli.test_run_probe import probe
from tests.propagation.networks import chain, probe_all, rows

BORDER = "pixels at the border have fewer neighbours"


def probed(scheme: str, **changes: Any) -> ProbedJob:
    """A probed job, of a chain of layers; `changes` are further columns of its signal table."""
    found = probe_all(chain(40, 40, 40, 40, 5), rows(16, 40), seed=0, scheme=scheme, seeds=2)
    tables = {
        "signal": found.signal.assign(**changes),
        "histograms": found.histograms,
        "spectrum": found.spectrum,
    }
    config = {
        "data": {"name": "wine"},
        "activation": {"name": "tanh"},
        "init": {"name": scheme},
    }
    return ProbedJob(f"init={scheme}", config, {"outlook": "trainable", "reason": "it is"}, tables)


def points(report: Report, section: str) -> list[str]:
    (parts,) = (found.parts for found in report.sections if found.title == section)
    return [item for part in parts if isinstance(part, Points) for item in part.items]


def test_a_gradient_without_a_prediction_is_said() -> None:
    layers = [f"layer {k}" for k in range(4)]
    reasons = [BORDER, BORDER, None, None]
    job = probed("he", layer=layers * 2, no_gradient_prediction=reasons * 2, no_prediction=None)
    said = points(compose_probe_report([job], "he"), "What was not measured or predicted")
    assert said == [f"No prediction of the gradient in layer 0 and layer 1: {BORDER}."]
    both = probed("he", layer=layers * 2, no_gradient_prediction=reasons * 2, no_prediction=reasons * 2)
    said = points(compose_probe_report([both], "he"), "What was not measured or predicted")
    assert said == [f"No prediction from layer 0 on: {BORDER}."]  # of neither, said once


def test_the_key_of_the_columns_names_them_and_stands_by_itself() -> None:
    said = points(compose_probe_report([probed("he")], "he"), "Signal by depth")
    assert said[0] == "pre-activation²: mean square of the pre-activations: q in the theory"
    assert not any("their mean square" in line.partition("their")[0] for line in said)


def test_a_probe_without_a_name_is_headed_by_what_was_probed() -> None:
    jobs = [probed("he"), probed("zeros")]
    assert probe_title(["2026-11-27_03-52-40"], jobs) == "he and zeros on wine, before training"
    assert probe_title(["look"], jobs) == "look"


@pytest.mark.usefixtures("undrawn")
def test_options_that_do_nothing_on_a_probe_are_said_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert probe("init=he model.depth=1 name=look seeds=2 signal.rows=16 report=false", monkeypatch, tmp_path) == 0
    folder = tmp_path / "outputs" / "probe" / "look"
    capsys.readouterr()
    run_report([folder], select={"init": ["he"]}, level=0.9)
    assert capsys.readouterr().out.startswith("--select and --level: without effect on a probe")
    run_report([folder])
    assert "without effect" not in capsys.readouterr().out


def test_names_that_hold_commas_are_told_apart() -> None:
    jobs = []
    for activation, std in (("sigmoid", 1), ("sigmoid", 3), ("tanh", 0.3)):
        job = probed("normal")
        job.config["init"]["std"], job.config["activation"]["name"] = std, activation
        jobs.append(ProbedJob(f"{activation},{std}", job.config, job.metadata, job.tables))
    part: Part = compose_probe_report(jobs, "three").sections[0].parts[0]
    assert part.text == "Trainable: sigmoid, init.std=1; sigmoid, init.std=3; and tanh, init.std=0.3."  # type: ignore[union-attr]
