"""The curves are the history's means."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from initlab.figures.curves import LOWEST_R2, learning_curves
from initlab.figures.looks import LOOKS
from initlab.figures.panels import MOST_LABELLED, MOST_PANELS
from initlab.figures.style import pixels
from initlab.results.analysis import analyse
from initlab.results.study import Study
from tests.results.studies import Cell, inits, study_of


def draw(study: Study) -> Figure:
    return learning_curves(analyse(study))


def many(jobs: int) -> Study:
    """Jobs of 3 members each, the first the best."""
    rng = np.random.default_rng(0)
    return inits(**{f"scheme{k:02d}": 0.9 - 0.02 * k + rng.normal(0, 0.005, 3) for k in range(jobs)})


def test_lines_are_the_means_of_validation_accuracy() -> None:
    found = many(2)
    figure = draw(found)
    (panel,) = figure.axes
    assert [line.get_label() for line in panel.get_lines()] == ["scheme00", "scheme01"]
    rows = found.history.query("split == 'val' and job == 'init=scheme01'")
    np.testing.assert_allclose(np.asarray(panel.get_lines()[1].get_ydata()), rows.groupby("epoch")["score"].mean())
    assert len(panel.collections) == 2
    assert figure.get_supxlabel() == "epoch (mean and 95 % interval over 3 seeds)"
    assert panel.get_ylabel() == "validation accuracy"


def test_a_panel_a_condition_and_one_look_a_candidate() -> None:
    cells = [
        Cell({"data.name": data, "init.name": init, "activation.name": activation}, scores)
        for data in ("wine", "digits")
        for activation in ("relu", "tanh")
        for init, scores in (("he", [0.9, 0.8]), ("zeros", [0.1, 0.2] if data == "wine" else [0.95, 0.99]))
    ]
    panels = draw(study_of(*cells)).axes
    assert [panel.get_title() for panel in panels] == ["digits, relu", "digits, tanh", "wine, relu", "wine, tanh"]
    looks = [{line.get_label(): (line.get_color(), line.get_linestyle()) for line in p.get_lines()} for p in panels]
    assert looks[0] == looks[1] == looks[2] == looks[3]


def test_a_long_title_touches_neither_its_neighbours_nor_the_legend() -> None:
    setting = {"model.depth": 20, "optim.weight_decay": 0.0001}
    cells = [
        Cell(
            {"init.name": init, "activation.name": name, **{key: value + k for key, value in setting.items()}},
            [0.5] * 3,
        )
        for k, name in enumerate(("relu", "tanh", "leaky_relu"))
        for init in ("he", "zeros")
    ]
    figure = draw(study_of(*cells))
    assert len(figure.axes) == 3
    pixels(figure)
    boxes = [panel.title.get_window_extent() for panel in figure.axes] + [figure.legends[0].get_window_extent()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_each_candidate_is_drawn_at_its_best_learning_rate() -> None:
    cells = [
        Cell({"init.name": init, "optim.lr": rate}, [score] * 2, curve=[0.0, score])
        for init, scores in {"he": (0.5, 0.9), "xavier": (0.8, 0.4)}.items()
        for rate, score in zip((0.01, 0.1), scores, strict=True)
    ]
    (panel,) = draw(study_of(*cells)).axes
    assert {line.get_label(): np.asarray(line.get_ydata())[-1] for line in panel.get_lines()} == {
        "he": 0.9,
        "xavier": 0.8,
    }


def of_r2(**curves: list[float]) -> Figure:
    """The curves of jobs of two equal members with these validation R²."""
    return draw(study_of(*(Cell({"init.name": name}, [c[-1]] * 2, curve=c, metric="r2") for name, c in curves.items())))


def test_an_untrained_network_does_not_flatten_the_picture() -> None:
    (panel,) = of_r2(learns=[-50.0, 0.2, 0.8], explodes=[-3.0, -9.0, -1e9]).axes
    low, high = panel.get_ylim()
    assert low == LOWEST_R2
    assert 0.8 < high < 1.0
    assert [text.get_text() for text in panel.texts] == ["below −0.25: not shown"]
    assert panel.get_ylabel() == "validation R²"
    assert "%" not in panel.yaxis.get_major_formatter()(0.5)


def test_what_fails_everywhere_is_still_shown() -> None:
    low, high = of_r2(bad=[-90.0, -4.0, -3.0], worse=[-90.0, -6.0, -5.0]).axes[0].get_ylim()
    assert low == -6.0
    assert -3.0 < high < 0.0


def test_nothing_is_clipped_where_all_of_it_fits() -> None:
    (panel,) = of_r2(good=[-0.1, 0.5, 0.9], gone=[-0.1, np.nan, np.nan]).axes
    assert not panel.texts
    assert panel.get_ylim()[0] < -0.1


def test_where_every_network_diverged_the_panel_says_so() -> None:
    nan = float("nan")
    (panel,) = draw(study_of(Cell({}, [nan, nan], curve=[nan, nan]))).axes
    assert [text.get_text() for text in panel.texts] == ["every network diverged"]


def test_each_panel_says_what_it_scores() -> None:
    found = study_of(Cell({}, [0.9, 0.8]), Cell({"data.name": "teacher"}, [0.9, 0.8], metric="r2"))
    panels = draw(found).axes
    assert [panel.get_title() for panel in panels] == ["teacher", "wine"]
    assert [panel.get_ylabel() for panel in panels] == ["validation R²", "validation accuracy"]
    assert panels[1].yaxis.get_major_formatter()(0.5).endswith("%")


def test_many_candidates_stay_readable() -> None:
    figure = draw(many(MOST_LABELLED + 3))
    (legend,) = figure.legends
    named = [text.get_text() for text in legend.get_texts()]
    assert named == [*(f"scheme{k:02d}" for k in range(MOST_LABELLED)), "3 more"]
    assert len(figure.axes[0].collections) == MOST_LABELLED


def test_many_conditions_stay_readable() -> None:
    cells = [Cell({"init.name": i, "model.depth": d}, [0.5, 0.6]) for i in ("he", "zeros") for d in range(1, 15)]
    assert len(draw(study_of(*cells)).axes) == MOST_PANELS


def test_a_name_is_no_formula() -> None:
    figure = draw(inits(**{"a$b$c": [0.1, 0.2], "_hidden": [0.3, 0.4]}))
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["_hidden", r"a\$b\$c"]


@pytest.mark.parametrize("count", [4, MOST_LABELLED])
def test_no_two_labelled_lines_look_the_same(count: int) -> None:
    looks = [(look.color, look.dash) for look in LOOKS[:count]]
    greys = [(round(float(np.dot(to_rgb(color), (0.299, 0.587, 0.114))), 1), dash) for color, dash in looks]
    assert len(set(greys if count == 4 else looks)) == count
