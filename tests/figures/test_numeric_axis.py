"""Scores along a swept axis of numbers."""

import numpy as np
import pytest

from initlab.figures.numeric_axis import score_along_axis
from initlab.reporting.sections import compose_report
from initlab.results.analysis import analyse
from initlab.results.numeric_axes import numeric_axes
from tests.results.studies import Cell, study_of

DEPTHS = (1, 10, 2)  # as nobody would sort them


def score(init: str, activation: str, depth: int) -> float:
    return 0.9 - depth / 100 - (0.2 if (init, activation) == ("he", "tanh") else 0.0)


def cells(*inits: str) -> list[Cell]:
    return [
        Cell(
            {"init.name": init, "activation.name": activation, "model.depth": depth},
            [score(init, activation, depth) + noise for noise in (-0.01, 0.0, 0.01)],
        )
        for init in inits
        for activation in ("relu", "tanh")
        for depth in DEPTHS
    ]


def test_initializers_are_lines_and_depth_is_the_axis() -> None:
    analysis = analyse(study_of(*cells("he", "xavier")))
    (found,) = numeric_axes(analysis)
    assert found.key == "model.depth"
    figure = score_along_axis(found)
    assert [panel.get_title() for panel in figure.axes] == ["wine, relu", "wine, tanh"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    for panel, activation in zip(figure.axes, ("relu", "tanh"), strict=True):
        lines = [line for line in panel.get_lines() if len(np.asarray(line.get_xdata()))]
        assert len(lines) == 2
        for name, line in zip(found.lines, lines, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), sorted(DEPTHS))
            expected = [score(name, activation, depth) for depth in sorted(DEPTHS)]
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), expected, atol=1e-9)


def test_without_initializers_the_other_factor_makes_the_lines() -> None:
    """A sweep over depth and activation: six candidates, and two lines to see them by."""
    analysis = analyse(study_of(*cells("he")))
    assert len(analysis.candidates) == 6
    (found,) = numeric_axes(analysis)
    assert sorted(found.lines) == ["relu", "tanh"]
    (panel,) = score_along_axis(found).axes
    assert panel.get_title() == "wine"


def test_two_depths_are_an_axis_and_further_factors_a_grid_in_order() -> None:
    """Rows are activations, columns widths; by value, and not by the alphabet, which has 128 before 16."""
    widths = (16, 8, 128)
    made = [
        Cell({"init.name": i, "activation.name": a, "model.width": w, "model.depth": d}, [0.5, 0.4 + d / 100])
        for i in ("he", "xavier")
        for a in ("relu", "tanh")
        for w in widths
        for d in (8, 2)
    ]
    by_depth, by_width = numeric_axes(analyse(study_of(*made)))
    assert (by_depth.key, by_width.key) == ("model.depth", "model.width")
    figure = score_along_axis(by_depth)
    titles = [f"wine, {a}, model.width={w}" for a in ("relu", "tanh") for w in sorted(widths)]
    assert [panel.get_title() for panel in figure.axes] == titles
    places = [panel.get_subplotspec() for panel in figure.axes]
    assert [(at.rowspan.start, at.colspan.start) for at in places if at is not None] == [
        (row, column) for row in range(2) for column in range(3)
    ]
    assert len({(panel.get_xlim(), panel.get_ylim()) for panel in figure.axes}) == 1
    assert [tick.get_text() for tick in figure.axes[-1].get_xticklabels()] == ["2", "8"]
    assert [bool(panel.get_ylabel()) for panel in figure.axes] == [True, False, False] * 2
    panels = score_along_axis(by_width).axes
    assert [panel.get_title() for panel in panels] == [
        f"wine, {a}, model.depth={d}" for a in ("relu", "tanh") for d in (2, 8)
    ]
    assert [tick.get_text() for tick in panels[-1].get_xticklabels()] == ["8", "16", "128"]


def test_what_is_no_full_grid_goes_on_in_rows_of_three() -> None:
    made = [
        Cell({"init.name": i, "activation.name": a, "model.width": w, "model.depth": d}, [0.5, 0.6])
        for i in ("he", "xavier")
        for a, w in (("relu", 8), ("relu", 16), ("tanh", 8))
        for d in (2, 8)
    ]
    found = next(axis for axis in numeric_axes(analyse(study_of(*made))) if axis.key == "model.depth")
    assert found.innermost is None
    assert len(score_along_axis(found).axes) == 3


def test_it_stands_in_the_report() -> None:
    report = compose_report(analyse(study_of(*cells("he", "xavier"))), "depth")
    (section,) = [section for section in report.sections if section.title == "Score against model.depth"]
    (table,) = [table for table in report.tables if table.name == "along_model_depth"]
    assert len(table.data) == 12
    assert len(section.parts) == 2


@pytest.mark.parametrize("values", [(1, 2), ("a", "b", "c"), (True, False, 3)])
def test_what_is_no_axis_of_numbers(values: tuple[object, ...]) -> None:
    made = [Cell({"init.name": "he", "model.depth": value}, [0.5, 0.6]) for value in values]
    assert numeric_axes(analyse(study_of(*made))) == []


def test_crosses_at_one_place_are_all_seen() -> None:
    """Those drawn below are larger, and stand where the others do."""
    made = [
        Cell({"init.name": init, "model.depth": depth}, [np.nan] * 3 if depth == 10 else [0.5, 0.6, 0.7])
        for init in ("he", "xavier", "zeros")
        for depth in DEPTHS
    ]
    (found,) = numeric_axes(analyse(study_of(*made)))
    (panel,) = score_along_axis(found).axes
    crosses = [line for line in panel.get_lines() if line.get_marker() == "x"]
    assert [tuple(np.asarray(line.get_xydata()).ravel()) for line in crosses] == [(10.0, 0.0)] * 3
    sizes, orders = ([getattr(line, f"get_{what}")() for line in crosses] for what in ("markersize", "zorder"))
    assert sizes == sorted(set(sizes))
    assert orders == sorted(set(orders), reverse=True)
    assert len({line.get_color() for line in crosses}) == 3
