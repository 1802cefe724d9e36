"""A candidate has one look in all figures, and lines that lie on each other are all seen."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from initlab.figures.curves import learning_curves
from initlab.figures.histograms import activation_histograms
from initlab.figures.looks import KNOWN, LOOKS, looks_of, mark_equal
from initlab.figures.panels import MOST_LABELLED, styles
from initlab.figures.signal import signal_by_depth
from initlab.figures.spectrum import jacobian_spectrum
from initlab.initializers.registry import list_initializers
from initlab.reporting.document import Report
from initlab.reporting.probing import compose_probe_report, read_probe
from initlab.reporting.sections import compose_report
from initlab.results.analysis import analyse
from initlab.results.selection import select_jobs
from initlab.results.study import read_study
from tests.cli.test_run_probe import probe
from tests.helpers import QUICK, run
from tests.results.studies import Cell, inits, study_of

THREE = ("he_normal", "orthogonal", "zeros")


def legend_colors(figure: Figure) -> dict[str, str]:
    """Colour by label, as the legend has it."""
    legends = [*figure.legends, *(found for panel in figure.axes if (found := panel.get_legend()) is not None)]
    return {
        text.get_text().removesuffix(" (all zero)"): to_hex(handle.get_color())
        for legend in legends
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
        if isinstance(handle, Line2D)
    }


def drawn_colors(panel: Axes) -> set[str]:
    return {to_hex(line.get_color()) for line in panel.get_lines() if len(np.asarray(line.get_xdata())) > 2}


def by_figure(report: Report) -> dict[str, dict[str, str]]:
    """Of each figure, the colours of the three schemes."""
    found = {}
    for picture in report.pictures:
        colors = legend_colors(picture.figure)
        for panel in picture.figure.axes:
            for tick in panel.get_yticklabels() if picture.name == "seeds" else []:
                dots = [line for line in panel.get_lines() if line.get_marker() == "o"]
                colors[tick.get_text()] = to_hex(dots[int(tick.get_position()[1])].get_color())
        if picture.name == "histograms":
            rows = [panel for panel in picture.figure.axes if panel.get_ylabel()]
            colors = {panel.get_ylabel(): to_hex(panel.patches[0].get_facecolor()) for panel in rows}
        found[picture.name] = {name: color for name, color in colors.items() if name in THREE}
    return {name: colors for name, colors in found.items() if colors}


@pytest.mark.slow
def test_a_scheme_has_one_colour_in_every_figure_of_a_study_and_of_a_probe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    schemes = ",".join(THREE)
    sweep = f"-m init={schemes} optim.lr=0.01,0.1 model.depth=2,3 signal.every=1 {QUICK}"
    assert run(sweep, monkeypatch, tmp_path) == 0
    trained = by_figure(compose_report(analyse(read_study(tmp_path / "outputs" / "study")), "study"))
    expected = {name: to_hex(LOOKS[KNOWN.index(name)].color) for name in THREE}
    assert set(trained) == {
        "seeds", "curves", "learning_rates", "along_model_depth", "score_profile", "speed", "time_profile",
        *("signal", "signal_2", "training", "training_2"),
    } - ({"speed", "time_profile"} - set(trained))  # fmt: skip
    assert all(colors == expected for colors in trained.values()), trained
    assert probe("-m init=zeros,orthogonal,he name=look", monkeypatch, tmp_path) == 0
    probed = by_figure(compose_probe_report(read_probe(tmp_path / "outputs" / "probe" / "look"), "look"))
    assert set(probed) == {"signal", "histograms", "spectrum"}
    assert all(colors.items() <= expected.items() for colors in probed.values()), probed
    assert probed["signal"] == expected


def test_the_look_does_not_depend_on_who_is_best() -> None:
    one = styles(analyse(inits(he=[0.9, 0.8], xavier=[0.5, 0.6], zeros=[0.1, 0.2])))
    other = styles(analyse(inits(zeros=[0.9, 0.8], he=[0.5, 0.6], xavier=[0.1, 0.2])))
    assert list(one) != list(other)
    assert one == other


def test_a_part_of_a_study_keeps_the_looks_of_the_whole() -> None:
    names = [f"own{k}" for k in range(6)]
    cells = [
        Cell({"init.name": name, "model.depth": depth}, [0.1 * k, 0.1 * k + depth / 100])
        for k, name in enumerate(names)
        for depth in (2, 4)
    ]
    study = study_of(*cells)
    whole = styles(analyse(study))
    for wanted in ({"init": ["own4", "own1"]}, {"init": ["own5"]}, {"model.depth": ["2"], "init": ["own3", "own2"]}):
        part = styles(analyse(select_jobs(study, wanted)))
        if len(wanted["init"]) > 1:
            assert part.items() <= whole.items(), wanted
    twice = select_jobs(select_jobs(study, {"init": ["own4", "own1"]}), {"model.depth": ["2"]})
    assert styles(analyse(twice)) == {name: whole[name] for name in ("own4", "own1")}
    one_scheme = styles(analyse(select_jobs(study, {"init": ["own5"]})))  # what is compared now, is the depth
    assert len(set(one_scheme.values())) == 2


def test_up_to_seven_differ_in_colour_and_up_to_28_in_the_look() -> None:
    for count in range(1, len(LOOKS) + 1):
        looks = looks_of([*THREE[: min(3, count)], *(f"own{k}" for k in range(count - 3))])
        assert len(set(looks.values())) == len(looks) == count
        assert count > 7 or len({look.color for look in looks.values()}) == count
    assert len(looks_of(map(str, range(60)))) == 60
    many = styles(analyse(inits(**{f"own{k:02d}": [0.01 * k, 0.01 * k] for k in range(40)})))
    assert len(set(many.values())) == len(many) == MOST_LABELLED


def test_known_schemes_exist_and_are_where_they_always_are() -> None:
    assert set(KNOWN) <= set(list_initializers())
    for pair in combinations(KNOWN, 2):
        looks = looks_of([*pair, "own"])
        assert [looks[name] for name in pair] == [LOOKS[KNOWN.index(name)] for name in pair]
    assert looks_of(["he_normal, model.depth=8"])["he_normal, model.depth=8"] == LOOKS[0]
    both = looks_of(["he_normal, model.depth=2", "he_normal, model.depth=8", "xavier_normal"])
    assert both["xavier_normal"] == LOOKS[1]
    assert len(set(both.values())) == 3


def drawn(*heights: list[float]) -> tuple[Axes, list[Line2D]]:
    """Lines in a panel, named a, b, …, after they were marked."""
    panel = Figure().subplots()
    lines = {name: panel.plot(ys, linewidth=1.5)[0] for name, ys in zip("abcdef", heights, strict=False)}
    panel.set_xlabel("layer")
    mark_equal(panel, lines, least_span=0.1)
    return panel, list(lines.values())


def test_equal_lines_are_all_seen_and_said() -> None:
    panel, (a, b, c, d) = drawn([1.0, 2.0], [1.0, 2.0], [1.0, 1.5], [1.0, 2.0001])
    assert a.get_linewidth() > b.get_linewidth() + 1 > d.get_linewidth() + 2
    assert d.get_linewidth() == c.get_linewidth() == 1.5
    assert panel.get_xlabel() == "layer\na = b = d here"


def test_lines_that_differ_are_left_as_they_are() -> None:
    nan = float("nan")
    panel, lines = drawn([1.0, 2.0], [1.0, 2.1], [1.0, nan], [nan, nan], [nan, nan], [1.0, 2.0, 3.0])
    assert {line.get_linewidth() for line in lines} == {1.5}
    assert panel.get_xlabel() == "layer"


def signal(scale: float, correlation: float, layers: int = 4) -> pd.DataFrame:
    """A signal table of two networks, whose correlation does not know the scale."""
    rows = [
        {
            "member": member, "position": position, "layer": f"layer{position}", "pre_second_moment": scale**position,
            "predicted_second_moment": np.nan, "gradient_second_moment": 1.0 / scale**position,
            "predicted_gradient_second_moment": np.nan, "correlation": correlation + position / 100,
            "predicted_correlation": np.nan, "entries": 1.0, "weight_norm": 1e9,
        }
        for member in range(2)
        for position in range(1, layers + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_correlation_of_he_is_seen_under_that_of_xavier() -> None:
    """Under ReLU they are one and the same: its scale has no say in it."""
    tables = {"he_normal": signal(1.0, 0.2), "xavier_normal": signal(0.5, 0.2), "zeros": signal(0.8, 0.5)}
    sizes, gradients, correlation = signal_by_depth(tables).axes
    assert sizes.get_xlabel() == gradients.get_xlabel() == "layer"
    assert correlation.get_xlabel() == "layer\nhe_normal = xavier_normal here"
    he, _, xavier, _, zeros, _ = correlation.get_lines()
    assert he.get_linewidth() > xavier.get_linewidth() + 1
    assert xavier.get_linewidth() == zeros.get_linewidth()
    assert he.get_markersize() > xavier.get_markersize()


def test_the_marks_of_equal_lines_stand_beside_each_other() -> None:
    tables = {"he_normal": signal(1.0, 0.2, 20), "other": signal(0.9, 0.5, 20), "xavier_normal": signal(0.95, 0.2, 20)}
    he, _, other, _, xavier, _ = signal_by_depth(tables).axes[2].get_lines()
    assert he.get_markevery() == (0, 2)
    assert xavier.get_markevery() == (1, 2)
    assert other.get_markevery() == 2


def test_equal_spectra_and_curves_are_said() -> None:
    values = {"index": [1, 2, 3], "singular_value": [3.0, 2.0, 1.0], "predicted_mean_square": [np.nan] * 3}
    table = pd.DataFrame(values)
    (panel,) = jacobian_spectrum({"he": table, "xavier": table}).axes
    assert panel.get_xlabel().endswith("\nhe = xavier here")
    (panel,) = learning_curves(analyse(inits(ones=[0.1, 0.1], zeros=[0.1, 0.1], he=[0.9, 0.8]))).axes
    assert panel.get_xlabel() == "ones = zeros here"


def test_what_only_fits_by_its_colour_is_named() -> None:
    bins = pd.DataFrame({"position": 1, "layer": "fc", "left": [0.0, 1.0], "right": [1.0, 2.0], "density": [0.5, 0.5]})
    panels = activation_histograms({"zeros": bins, "he_normal": bins}).axes
    assert [to_hex(panel.patches[0].get_facecolor()) for panel in panels] == [
        to_hex(LOOKS[KNOWN.index(name)].color) for name in ("zeros", "he_normal")
    ]
    assert drawn_colors(learning_curves(analyse(inits(zeros=[0.1, 0.2], he_normal=[0.9, 0.8]))).axes[0]) == {
        to_hex(LOOKS[KNOWN.index(name)].color) for name in ("zeros", "he_normal")
    }
