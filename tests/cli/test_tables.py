"""Tables for the terminal: names that break where they may, rows that stand where they are looked for."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from initlab.cli.conclude import conclude_study
from initlab.cli.tables import Name, failure_table, plan_tables
from initlab.jobs.share import Share
from initlab.results.confidence import LEVEL, percent
from initlab.sweep.cohorts import Cohort
from initlab.sweep.cost import costs_of
from initlab.sweep.plan import Schedule
from tests.helpers import make_job
from tests.results.studies import Cell, write_study

RATES = ("0.001", "0.0316", "1", "3.16e-05", "0.003")


def _drawn(*tables: object, width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for table in tables:
        console.print(table)
    return out.getvalue().splitlines()


def test_a_plan_sorts_rates_by_size_and_breaks_no_number() -> None:
    jobs = [make_job("activation=leaky_relu", "init=he", f"optim.lr={rate}") for rate in RATES]
    cohorts = [Cohort((Share(job, job.seeds),)) for job in jobs]
    schedule = Schedule(cohorts, 1, 1, costs_of(jobs), {})
    for width in range(40, 80):
        lines = _drawn(*plan_tables([], schedule), width=width)
        words = [line.split()[0] for line in lines if "optim.lr=" in line]
        assert [word.partition("optim.lr=")[2] for word in words] == ["3.16e-05", "0.001", "0.003", "0.0316", "1"]
        assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (40, ["init=he,optim.lr=0.00316,seeds=3"]),
        (25, ["init=he,optim.lr=0.00316,", "seeds=3"]),
        (20, ["init=he,", "optim.lr=0.00316,", "seeds=3"]),
        (7, ["init=", "he,", "optim.", "lr=", "0.00316,", "seeds=3"]),
    ],
)
def test_a_name_goes_on_behind_a_comma(width: int, lines: list[str]) -> None:
    assert Name("init=he,optim.lr=0.00316,seeds=3").lines(width) == lines


def test_a_long_name_is_broken_behind_an_underscore(tmp_path: Path) -> None:
    """And the note below the table names no column that was left out."""
    cells = [
        Cell({"model.activation_of_gates": gate, "init.name": name}, [0.7, 0.8])
        for name in ("he_normal", "depth_power_of_everything")
        for gate in ("leaky_relu", "tanh")
    ]
    write_study(tmp_path / "study", *cells)
    for width, broken in ((60, True), (120, False)):
        out = io.StringIO()
        conclude_study(tmp_path / "study", Console(file=out, width=width), with_report=False)
        said = out.getvalue()
        words = set(said.partition("mean [")[0].split())
        assert ("depth_power_of_everything" not in words) == broken
        assert {"model.", "model.activation_of_gates"} & words
        assert not broken or all(
            word[-1] in "_.=" or word in "everything" for word in words if word.startswith("depth_")
        )
        assert ("epochs: median" in said) == ("epochs to" in said) == (not broken)


def test_what_failed_breaks_no_number_either() -> None:
    lines = _drawn(failure_table({"init=he,optim.lr=0.00316,seeds=3": "a reason of some words, " * 5}), width=50)
    assert any("optim.lr=0.00316," in line for line in lines)


@pytest.mark.usefixtures("undrawn")
def test_rows_of_a_condition_stand_together(tmp_path: Path) -> None:
    """Though another network's scores lie between: it does not compare."""
    cells = [
        Cell({"model.depth": depth, "init.name": name}, [score, score + 0.01])
        for depth, name, score in ((2, "he_normal", 0.9), (4, "he_normal", 0.8), (2, "zeros", 0.7), (4, "zeros", 0.6))
    ]
    write_study(tmp_path / "study", *cells)
    for with_report in (False, True):
        out = io.StringIO()
        conclude_study(tmp_path / "study", Console(file=out, width=160), with_report=with_report)
        said = out.getvalue()
        rows = [line.split()[:2] for line in said.splitlines() if line.startswith((" he_normal", " zeros"))]
        assert [row[1] for row in rows] == ["2", "2", "4", "4"]
        assert [row[0] for row in rows] == ["he_normal", "zeros"] * 2
        assert f"mean [{percent(LEVEL)} interval]" in said
