"""A report has one confidence level: every interval and test has it, and whatever shows one says it."""

import io
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.text import Text
from rich.console import Console
from scipy import stats

from initlab.base.console import say
from initlab.base.wording import difference_text, interval_text
from initlab.cli.run_report import main
from initlab.figures.curves import learning_curves
from initlab.figures.learning_rates import learning_rates
from initlab.figures.numeric_axis import score_along_axis
from initlab.reporting.document import Paragraph, Report
from initlab.reporting.html import to_html
from initlab.reporting.latex import to_latex
from initlab.reporting.markdown import to_markdown
from initlab.reporting.sections import compose_report
from initlab.results.analysis import Analysis, analyse
from initlab.results.confidence import percent, significance
from initlab.results.intervals import bootstrap_intervals, least_seeds
from initlab.results.numeric_axes import numeric_axes
from initlab.results.ranks import critical_difference
from tests.helpers import run
from tests.results.studies import Cell, study_of, write_study

SEEDS = 8  # so few that the mean has Student's interval, which is quickly found otherwise
LEVELS = (0.9, 0.95)
OTHERS = {
    0.9: ("95 %", "< 0.05", "below 0.05", "at 5 %"),
    0.95: ("90 %", "< 0.1)", "below 0.1 ", "at 10 %"),
}  # what a page at this level must not say


def made() -> list[Cell]:
    """Two data sets, three depths, two initializers at two rates; some networks diverge."""
    rng = np.random.default_rng(5)
    cells = []
    for data in ("digits", "wine"):
        for depth in (2, 4, 8):
            for init, best in (("he", 0.93), ("xavier", 0.92)):
                for rate in (0.1, 1.0):
                    scores = best - depth / 50 - rng.exponential(0.02 * (1 + rate), SEEDS)
                    scores = np.where(np.arange(SEEDS) == (3 if rate == 0.1 and data == "wine" else -1), np.nan, scores)
                    changes = {"data.name": data, "model.depth": depth, "init.name": init, "optim.lr": rate}
                    cells.append(Cell(changes, scores))
    return cells


@pytest.fixture(scope="module", params=LEVELS)
def analysis(request: pytest.FixtureRequest) -> Analysis:
    return analyse(study_of(*made()), level=request.param)


@pytest.fixture(scope="module")
def report(analysis: Analysis) -> Report:
    return compose_report(analysis, "one level")


def student(scores: np.ndarray, level: float) -> tuple[float, float]:
    """Student's interval, from its formula."""
    finite = scores[np.isfinite(scores)]
    half = stats.t.isf((1 - level) / 2, len(finite) - 1) * finite.std(ddof=1) / len(finite) ** 0.5
    return finite.mean() - half, finite.mean() + half


def test_every_number_has_the_level(analysis: Analysis) -> None:
    """Found by other formulas than the code's."""
    for _, row in analysis.candidates.iterrows():
        members = analysis.by_job[row["job"]]
        scores = members["test_score"].to_numpy(float)
        assert (row["score_low"], row["score_high"]) == pytest.approx(student(scores, analysis.level))
        lost = int(np.isnan(scores).sum())
        upper = stats.beta.isf((1 - analysis.level) / 2, lost + 1, SEEDS - lost)
        assert row["diverged_high"] == pytest.approx(upper)
    for pair in analysis.pairs.to_dict("records"):
        under = analysis.candidates_under((pair["data"], pair["metric"], pair["setting"])).set_index("candidate")["job"]
        a, b = (analysis.by_job[under[pair[side]]]["test_score"].fillna(0).to_numpy(float) for side in ("a", "b"))
        assert (pair["low"], pair["high"]) == pytest.approx(student(a - b, analysis.level))  # two candidates, one pair
        wins = round(pair["superiority"] * SEEDS)
        wilson = stats.binomtest(wins, SEEDS).proportion_ci(analysis.level, method="wilson")
        assert (pair["superiority_low"], pair["superiority_high"]) == pytest.approx((wilson.low, wilson.high))
        assert (pair["verdict"] in ("better", "worse")) == (pair["p_adjusted"] < 1 - analysis.level)
    assert analysis.ranks is not None
    q = stats.studentized_range.isf(1 - analysis.level, 2, np.inf) / 2**0.5
    assert analysis.ranks.critical_difference == pytest.approx(q * (2 * 3 / (6 * 2)) ** 0.5)


def test_all_views_show_the_same(analysis: Analysis, report: Report) -> None:
    tables = {table.name: table for table in report.tables}
    views = {
        "markdown": to_markdown(report),
        "page": re.sub("&#39;", "'", to_html(report, {picture.name: b"" for picture in report.pictures})),
        "candidates": " ".join(tables["candidates"].shown["test accuracy"]),
        "along": " ".join(tables["along_model_depth"].shown["test score"]),
        "jobs": " ".join(tables["jobs"].shown["test accuracy"]),
        "latex": to_latex(tables["candidates"]),
    }
    for _, row in analysis.candidates.iterrows():
        text = interval_text(row["score"], row["score_low"], row["score_high"])
        assert "[" in text
        for name, view in views.items():
            assert text in view.replace("\\[", "[").replace("\\]", "]").replace("~", " "), name
    for _, row in analysis.pairs.iterrows():
        text = difference_text(row["difference"], row["low"], row["high"])
        assert text in set(tables["pairs"].shown["a − b"])
        assert text in views["page"]
    console = Console(file=io.StringIO(), width=300)
    for part in report.sections[0].parts:
        if isinstance(part, Paragraph):
            say(console, part.text)
    assert isinstance(console.file, io.StringIO)
    assert f"Brackets hold {percent(analysis.level)} intervals." in console.file.getvalue()
    assert f"is below {significance(analysis.level):g}." in console.file.getvalue()


def test_the_figures_draw_the_level(analysis: Analysis) -> None:
    (axis,) = numeric_axes(analysis)
    panel = score_along_axis(axis).axes[0]
    under = axis.points[(axis.points["panel"] == panel.get_title()) & (axis.points["line"] == axis.lines[0])]
    ends = under[["low", "high"]].to_numpy(float)
    for jobs, low_high in zip(under["value"], ends, strict=True):
        row = analysis.candidates[
            (analysis.candidates["data"] == panel.get_title())
            & (analysis.candidates["candidate"] == axis.lines[0])
            & (analysis.candidates["setting"] == f"model.depth={jobs:g}")
        ].iloc[0]
        assert tuple(low_high) == (row["score_low"], row["score_high"])
    conditions = {analysis.title(condition): condition for condition in analysis.conditions}
    for draw in (learning_curves, learning_rates):
        panel = draw(analysis).axes[0]
        band = next(entry for entry in panel.collections if isinstance(entry, PolyCollection))
        heights = band.get_paths()[0].vertices[:, 1]  # type: ignore[index]
        table = analysis.candidates_under(conditions[panel.get_title()])
        job = table["job"].iloc[0]
        if draw is learning_rates:
            chosen = next(iter(analysis.jobs_under(conditions[panel.get_title()]).groupby("candidate", sort=False)))[1]
            job = str(chosen.index[0])
        low, high = student(analysis.by_job[job]["val_score"].to_numpy(float), analysis.level)
        for end in (low, high):
            assert np.isclose(heights, end).any(), (draw.__name__, end)


def test_whatever_shows_an_interval_says_the_level(analysis: Analysis, report: Report) -> None:
    text, page = percent(analysis.level), to_markdown(report)
    for name in ("candidates", "pairs", "along_model_depth", "speed", "diverged", "jobs"):
        (table,) = [table for table in report.tables if table.name == name]
        assert text in table.caption, name
        assert set(table.data["confidence_level"]) == {analysis.level}
    said = {
        picture.name: [entry.get_text() for entry in picture.figure.findobj(Text) if isinstance(entry, Text)]
        for picture in report.pictures
    }
    for name in ("curves", "seeds", "learning_rates", "along_model_depth"):
        assert any(text in entry for entry in said[name]), name
    assert any("* better, = equivalent (within ±0.01), grey: undecided" in entry for entry in said["pairs"])
    assert any(f"at {percent(significance(analysis.level))}" in entry for entry in said["critical_difference"])
    for other in OTHERS[analysis.level]:
        assert other not in page.partition("## How to repeat it")[0], other
        assert not any(other in entry for entries in said.values() for entry in entries), other


@pytest.mark.usefixtures("undrawn")
def test_the_command_takes_a_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "study", *made()[:4])
    assert run("study --level 0.99", monkeypatch, tmp_path, program=main) == 0
    assert "Brackets hold 99 % intervals." in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "study" / "tables" / "candidates.csv")
    row = table.iloc[0]
    members = pd.read_parquet(tmp_path / "study" / row["job"] / "members.parquet")
    assert (row["score_low"], row["score_high"]) == pytest.approx(student(members["test_score"].to_numpy(float), 0.99))


@pytest.mark.parametrize(
    ("level", "said"),
    [("1", ""), ("0", ""), ("-0.5", ""), ("nan", ""), ("high", ""), ("99", "; for 99 % type --level 0.99")],
)
def test_what_is_no_level_is_refused_in_one_line(
    level: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"study --level={level}", monkeypatch, tmp_path, program=main) == 2
    expected = f"initlab: --level {level}: expected a number between 0 and 1, e.g. --level 0.99{said}\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(("option", "example"), [("level", "0.99"), ("margin", "0.02")])
def test_shares_are_refused_alike(
    option: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"study --{option}=2", monkeypatch, tmp_path, program=main) == 2
    expected = f"initlab: --{option} 2: expected a number between 0 and 1, e.g. --{option} {example}; for 2 % type"
    assert capsys.readouterr().err == f"{expected} --{option} 0.02\n"


@pytest.mark.usefixtures("undrawn")
def test_the_command_takes_a_margin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, (2, 10))
    cells = [Cell({"init.name": name}, 0.8 + values) for name, values in zip(("he", "xavier"), noise, strict=True)]
    write_study(tmp_path / "study", *cells)
    found = {}
    for margin in ("0.01", "0.2"):
        assert run(f"study --margin {margin}", monkeypatch, tmp_path, program=main) == 0
        said = capsys.readouterr().out
        pairs = pd.read_csv(tmp_path / "study" / "tables" / "pairs.csv")
        found[margin] = pairs["verdict"].tolist()
        assert ("less than 0.2 apart" in said) == (margin == "0.2")
        assert ("Undecided between it and" in said) == (margin == "0.01")
        page = (tmp_path / "study" / "report.md").read_text(encoding="utf-8")
        assert f"within ±{margin}" in page
        assert f"within the margin of {margin}" in page
    assert found == {"0.01": ["undecided"], "0.2": ["equivalent"]}


@pytest.mark.parametrize("level", [0.9, 0.99])
@pytest.mark.parametrize("statistic", ["median", "iqm"])
def test_the_fewest_seeds_that_give_an_interval_give_one_that_covers(
    level: float, statistic: Literal["median", "iqm"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("initlab.results.intervals.RESAMPLES", 999)
    rng = np.random.default_rng(3)
    seeds = least_seeds(statistic, level)
    low, high = bootstrap_intervals(rng.normal(size=(1000, seeds)), statistic, level=level, rng=rng)
    assert np.mean((low <= 0) & (high >= 0)) > level - 0.04
    fewer = bootstrap_intervals(rng.normal(size=(2, seeds - 1)), statistic, level=level, rng=rng)
    assert np.isnan(fewer).all()


def test_a_higher_level_tells_fewer_ranks_apart() -> None:
    assert critical_difference(4, 10, level=0.99) > critical_difference(4, 10) > critical_difference(4, 10, level=0.9)
