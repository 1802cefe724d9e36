"""What a study says of the width of networks: where the best rate is, and whether signals keep their size."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from initlab.figures.coord_check import coord_check_grid
from initlab.figures.width_transfer import width_transfer_curves
from initlab.reporting.document import Picture, Points, Table
from initlab.reporting.width import width_sections
from initlab.results.analysis import analyse
from initlab.results.coord_check import check_of, coord_check
from initlab.results.study import read_study
from initlab.results.width_transfer import width_transfer
from tests.helpers import run
from tests.results.studies import Cell, inits, study_of

RATES = (0.01, 0.1, 1.0, 10.0)
# Test scores by rate at widths 8 and 64; in these studies a loss is 1 - score.
MOVES = {8: (0.1, 0.2, 0.6, 0.3), 64: (0.7, 0.5, 0.4, np.nan)}
STAYS = {8: (0.1, 0.6, 0.4, 0.3), 64: (0.2, 0.7, 0.5, 0.1)}


def same(drawn: Any, expected: Any) -> None:
    """Whether a line is drawn through the points that it should be drawn through."""
    np.testing.assert_allclose(np.asarray(drawn, np.float64), np.asarray(expected, np.float64))


def cells(init: str, scores: Mapping[int, Sequence[float]]) -> list[Cell]:
    return [
        Cell({"init.name": init, "model.width": width, "optim.lr": rate}, [score, score + 0.1])
        for width, row in scores.items()
        for rate, score in zip(RATES, row, strict=True)
    ]


def test_the_best_rate_moves_or_stays() -> None:
    found = width_transfer(study_of(*cells("he", MOVES), *cells("mup", STAYS)))
    assert found is not None
    assert found.verdicts == [
        "he: the best rate moves from 1 at width 8 to 0.01 at width 64 (0.01 is the least that was tried).",
        "mup: the best rate stays at 0.1 from width 8 to width 64.",
    ]
    best = found.points[found.points["best"]]
    assert list(best["rate"]) == [1.0, 0.01, 0.1, 0.1]
    assert list(best["loss"]) == pytest.approx([0.35, 0.25, 0.35, 0.25])  # mean of 1 - s and 0.9 - s
    lost = found.points[(found.points["panel"] == "he") & (found.points["width"] == 64)]
    assert np.isinf(lost["loss"].iloc[-1])


def test_neighbours_are_within_chance() -> None:
    moved = {8: STAYS[8], 64: (0.7, 0.6, 0.5, 0.1)}
    found = width_transfer(study_of(*cells("mup", moved)))
    assert found is not None
    stays = "the best rate stays within a step of the rates tried, from 0.1 at width 8 to 0.01 at width 64"
    assert found.verdicts[0].startswith(stays)
    gone = {8: STAYS[8], 64: (np.nan,) * 4}
    lost = width_transfer(study_of(*cells("mup", gone)))
    assert lost is not None
    assert "diverges at every rate" in lost.verdicts[0]


def test_curves_are_the_losses_and_rings_the_best() -> None:
    found = width_transfer(study_of(*cells("he", MOVES), *cells("mup", STAYS)))
    assert found is not None
    figure = width_transfer_curves(found)
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("he", "mup")
    narrow, ring, wide, other = left.lines
    same(narrow.get_xydata(), [[rate, 0.95 - s] for rate, s in zip(RATES, MOVES[8], strict=True)])
    same(ring.get_xydata(), [[1.0, 0.35]])
    assert np.isnan(np.asarray(wide.get_ydata(), np.float64)[-1])
    same(other.get_xydata(), [[0.01, 0.25]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["8", "64"]


@pytest.mark.parametrize("others", [{"model.width": 8}, {"optim.lr": 0.1}])
def test_other_studies_have_no_transfer(others: dict[str, float]) -> None:
    assert width_transfer(inits(he=[0.5], zeros=[0.1])) is None
    assert width_transfer(study_of(Cell({}, [0.5]), Cell(others, [0.6]))) is None
    assert coord_check(study_of(Cell({}, [0.5]), Cell(others, [0.6]))) is None


def signal(powers: dict[str, dict[int, float]], *, panel: str, start: float = 0.0) -> pd.DataFrame:
    """A signal table with sizes 3 · width^power for each layer and moment, and a readout of a size of its own at 0."""
    rows = [
        (panel, layer, position, moment, width, (3 * width**power if moment or layer != "output" else start) ** 2)
        for position, (layer, by_moment) in enumerate(powers.items())
        for moment, power in by_moment.items()
        for width in (16, 64, 256)
    ]
    return pd.DataFrame(rows, columns=["panel", "layer", "position", "epoch", "width", "pre_second_moment"])


FLAT = {"hidden": dict.fromkeys((0, 1, 2, 3, 4), 0.01), "output": {0: 0.0, 1: -0.2, 2: 0.04, 3: 0.3, 4: -0.03}}
GROWS = {"hidden": dict.fromkeys((0, 1, 2, 3, 4), 0.0), "output": {0: 0.0, 1: 0.5, 2: 0.6, 3: 0.7, 4: 0.75}}


def test_sizes_are_flat_or_grow() -> None:
    tables = [signal(FLAT, panel="mup"), signal(GROWS, panel="he", start=2.0)]
    found = check_of(pd.concat(tables, ignore_index=True), "step")
    assert found is not None
    assert found.verdicts == [
        "mup: flat from step 2 on: every layer's size is as width to a power within ±0.05 (the steepest: output, +0.04 "
        "after step 2).",
        "he: not flat: after step 4, output grows as width^0.75.",
    ]
    slopes = found.slopes.set_index(["panel", "layer", "moment"])["slope"]
    assert slopes["mup", "output", 1] == pytest.approx(-0.2)
    assert np.isnan(slopes["mup", "output", 0])  # it starts from 0
    assert slopes["he", "output", 0] == pytest.approx(0.0)
    assert sorted(found.points["moment"].unique()) == [0, 1, 2, 4]
    figure = coord_check_grid(found)
    assert [panel.get_title() for panel in figure.axes[:2]] == ["mup, step 0", "mup, step 1"]
    hidden, output = figure.axes[-1].lines
    same(hidden.get_ydata(), [3, 3, 3])
    same(output.get_xydata(), [[width, 3 * width**0.75] for width in (16, 64, 256)])
    assert np.isnan(np.asarray(figure.axes[0].lines[1].get_ydata(), float)).all()


def test_two_widths_make_no_check() -> None:
    table = signal(FLAT, panel="mup")
    assert check_of(table[table["width"] < 256], "step") is None
    assert check_of(table[table["epoch"] == 0], "step") is None


def test_a_study_that_records_the_signal_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = "experiment=coord_check model.width=64,80,96 seeds=1 trainer.max_epochs=2 name=study logger=none"
    assert run(typed, monkeypatch, tmp_path) == 0
    found = coord_check(read_study(tmp_path / "outputs" / "study"))
    assert found is not None
    assert found.unit == "step"
    assert set(found.points["panel"]) == {"lecun_normal", "mup"}
    said = " ".join(capsys.readouterr().out.split())
    assert all(verdict in said for verdict in found.verdicts)
    (section,) = width_sections(analyse(read_study(tmp_path / "outputs" / "study")))
    points, picture, table = section.parts
    assert isinstance(points, Points)
    assert list(points.items) == list(found.verdicts)
    assert isinstance(picture, Picture)
    assert isinstance(table, Table)
    assert list(table.shown) == ["networks", "layer", "step 0", "step 1", "step 2"]
