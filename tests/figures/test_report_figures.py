"""What the report's figures show is what the tables say."""

import numpy as np
import pandas as pd
import pytest

from initlab.figures.critical_difference import critical_difference_diagram, indistinguishable
from initlab.figures.heat import heat_map
from initlab.figures.learning_rates import learning_rates
from initlab.figures.pairwise import pairwise_matrix
from initlab.figures.profiles import score_profile, time_profile
from initlab.figures.seeds import seeds_as_dots
from initlab.figures.speed import speed
from initlab.figures.variance_shares import MOST_BARS_BESIDE, shown_sources, variance_share_bars
from initlab.reporting.axes import heat_sections
from initlab.reporting.document import Table
from initlab.results.analysis import analyse
from initlab.results.heat import heat_maps
from initlab.results.profiles import score_profiles, time_profiles
from initlab.results.ranks import rank_across
from initlab.results.variance_shares import variance_shares
from tests.results.studies import Cell, inits, study_of

NOISE = np.random.default_rng(0).normal(0, 0.01, (3, 10))


def test_every_seed_is_a_dot() -> None:
    found = analyse(inits(he=0.8 + NOISE[0], xavier=0.79 + NOISE[1]))
    (panel,) = seeds_as_dots(found).axes
    assert [text.get_text() for text in panel.get_yticklabels()] == list(found.candidates["candidate"])
    dots = [line for line in panel.get_lines() if line.get_marker() == "o"]
    for line, job, row in zip(dots, found.candidates["job"], range(2), strict=True):
        np.testing.assert_allclose(np.sort(np.asarray(line.get_xdata())), np.sort(found.by_job[job]["test_score"]))
        assert (np.abs(np.asarray(line.get_ydata()) - row) < 0.5).all()
    means = [float(np.asarray(line.get_xdata())[0]) for line in panel.get_lines() if line.get_marker() == "D"]
    np.testing.assert_allclose(means, found.candidates["score"])


def test_what_lies_far_left_does_not_squeeze_the_rest() -> None:
    found = analyse(inits(he=0.98 + NOISE[0] / 5, xavier=0.98 + NOISE[1] / 5, zeros=[0.1] * 10))
    (panel,) = seeds_as_dots(found).axes
    assert panel.get_xlim()[0] > 0.9
    assert [text.get_text().strip() for text in panel.texts] == ["← mean 0.100"]


def test_what_diverged_is_said() -> None:
    found = analyse(inits(he=[0.88, 0.9, np.nan], zeros=[0.87, 0.88, 0.9]))
    assert [text.get_text() for text in seeds_as_dots(found).axes[0].texts] == ["× 1 of 3 diverged"]


def test_the_matrix_has_each_difference_both_ways() -> None:
    found = analyse(inits(he=0.8 + NOISE[0], xavier=0.8 + NOISE[1], zeros=[0.1] * 10))
    (panel,) = pairwise_matrix(found).axes
    cells = {text.get_position(): text.get_text() for text in panel.texts}
    names = list(found.candidates["candidate"])
    assert [text.get_text() for text in panel.get_xticklabels()] == names
    assert len(cells) == 6
    for row in found.pairs.to_dict("records"):
        i, j = names.index(row["a"]), names.index(row["b"])
        upper, lower = cells[j, i], cells[i, j]
        star = "*" if row["verdict"] == "better" else ""
        assert upper == f"+{row['difference']:.3f}{star}".replace("+0.", "+.")
        assert lower == upper.replace("+", "−")
        assert ("zeros" in (row["a"], row["b"])) == bool(star)


def test_the_best_learning_rate_has_a_ring() -> None:
    cells = [
        Cell({"init.name": init, "optim.lr": rate}, [score, score + 0.01])
        for init, scores in {"he": (0.5, 0.9, 0.6), "xavier": (0.8, 0.4, 0.1)}.items()
        for rate, score in zip((0.01, 0.1, 1.0), scores, strict=True)
    ]
    (panel,) = learning_rates(analyse(study_of(*cells))).axes
    rings = sorted(
        tuple(np.asarray(line.get_xydata())[0].tolist()) for line in panel.get_lines() if line.get_marker() == "o"
    )
    assert rings == [(0.01, pytest.approx(0.805)), (0.1, pytest.approx(0.905))]
    lines = {
        line.get_label(): np.asarray(line.get_ydata())
        for line in panel.get_lines()
        if line.get_label() in ("he", "xavier")
    }
    np.testing.assert_allclose(lines["he"], [0.505, 0.905, 0.605])
    assert panel.get_xscale() == "log"


def test_a_heat_map_may_lack_cells_and_averages_over_further_axes() -> None:
    cells = [
        Cell({"data.name": d, "init.name": i, "activation.name": a, "model.depth": depth}, [score + depth / 100] * 2)
        for d in ("wine", "digits")
        for i, score in (("he", 0.8), ("zeros", 0.1))
        for a in ("relu", "tanh")
        for depth in (2, 10)
        if not (d == "digits" and a == "tanh" and i == "zeros")
    ]
    by_activation, by_depth = heat_maps(analyse(study_of(*cells)))
    assert (by_activation.axis, by_activation.averaged) == ("activation", ("model.depth",))
    assert not by_activation.uneven
    assert by_depth.uneven  # zeros on digits have one activation, the others two
    assert by_activation.scores["wine"].loc["he", "relu"] == pytest.approx(0.86)
    assert np.isnan(by_activation.scores["digits"]["tanh"]["zeros"])
    assert list(by_depth.scores["wine"].columns) == ["2", "10"]
    figure = heat_map(by_activation)
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in panels] == ["digits", "wine"]
    assert sorted(text.get_text() for text in panels[1].texts) == ["0.160", "0.160", "0.860", "0.860"]


def test_bars_join_what_nemenyi_does_not_tell_apart() -> None:
    scores = np.tile([5.0, 4.9, 3, 1, 0], (30, 1))
    scores[::2, :2] = scores[::2, 1::-1]  # the first two take turns
    ranks = rank_across(scores, rng=np.random.default_rng(0))
    assert indistinguishable(ranks) == [(0, 1), (2, 3), (3, 4)]  # 1.5, 1.5, 3, 4, 5; the critical difference is 1.11


def test_the_diagram_names_every_mean_rank() -> None:
    cells = [
        Cell({"data.name": f"d{d}", "init.name": init}, [score, score])
        for d in range(6)
        for init, score in (("he", 0.9), ("xavier", 0.8), ("zeros", 0.1))
    ]
    (panel,) = critical_difference_diagram(analyse(study_of(*cells))).axes
    words = {text.get_text().strip() for text in panel.texts}
    assert {"he (1.00)", "xavier (2.00)", "zeros (3.00)", "critical difference 1.35 at 5 %"} <= words
    few = [cell for cell in cells if cell.changes["data.name"] in ("d0", "d1")]
    (panel,) = critical_difference_diagram(analyse(study_of(*few))).axes
    assert any("more than 2 data sets can show" in text.get_text() for text in panel.texts)


def test_speed_is_the_share_that_has_arrived() -> None:
    found = analyse(inits(he=[0.95, 0.95, 0.5, np.nan], zeros=[0.1] * 4))
    (panel,) = speed(found).axes
    steps = {tuple(np.asarray(line.get_ydata()).tolist()) for line in panel.get_lines()}
    assert steps == {(0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.0, 0.0)}
    assert panel.get_ylabel() == "reached accuracy 0.9"


def test_no_dot_is_hidden_without_a_word() -> None:
    found = analyse(inits(he=0.905 + NOISE[0] / 10, zeros=[0.905] * 9 + [0.05]))
    assert [text.get_text().strip() for text in seeds_as_dots(found).axes[0].texts] == ["← 1 of 10, mean 0.820"]


def test_a_score_may_be_as_low_as_numbers_go() -> None:
    """Equal seeds of a huge negative R² have a panel of their own width. Warnings are errors."""
    found = analyse(study_of(*(Cell({"init.name": init}, [-1e37] * 8, metric="r2") for init in ("he", "zeros"))))
    left, right = seeds_as_dots(found).axes[0].get_xlim()
    assert left < -1e37 < right


def test_an_axis_may_have_any_values() -> None:
    cells = [
        Cell({"init.name": init, "activation.name": activation}, [0.5, 0.6])
        for init in ("he", "zeros")
        for activation in ("candidate", "data")
    ]
    (section,) = heat_sections(analyse(study_of(*cells)))
    table = section.parts[1]
    assert isinstance(table, Table)
    assert list(table.shown.columns) == ["data", "candidate", "candidate", "data"]
    assert (table.shown.iloc[:, 2:] == "0.550").all(axis=None)


def crossed(*data: str) -> list[Cell]:
    """Jobs of two initializers, activations and learning rates on some data sets, with noise."""
    return [
        Cell(
            {"data.name": d, "init.name": init, "activation.name": activation, "optim.lr": rate},
            0.5 + 0.2 * (init == "he") + 0.1 * (activation == "relu") + rate + NOISE[0],
        )
        for d in data
        for init in ("he", "xavier")
        for activation in ("relu", "tanh")
        for rate in (0.01, 0.1)
    ]


@pytest.mark.parametrize("data", [("wine",), ("wine", "digits")])
def test_bars_are_as_long_as_the_shares(data: tuple[str, ...]) -> None:
    found = variance_shares(analyse(study_of(*crossed(*data))))
    figure = variance_share_bars(found)
    assert len(figure.axes) == len(found) == (1 if len(data) == 1 else 3)
    for panel, one in zip(figure.axes, found, strict=True):
        rows = one.sources if len(found) == 1 else one.sources.head(MOST_BARS_BESIDE)
        assert [text.get_text() for text in panel.get_yticklabels()] == list(rows["source"])
        behind, bars, *_ = panel.containers
        widths = [bar.get_width() for bar in bars]
        np.testing.assert_allclose(widths, rows["share"].clip(0, 1), atol=1e-9)
        np.testing.assert_allclose(
            [bar.get_width() for bar in behind], rows["takes_part"].fillna(0).clip(0, 1), atol=1e-9
        )
        (whiskers,) = panel.collections
        ends = [sorted(np.asarray(path.vertices)[:, 0]) for path in whiskers.get_paths()]
        for (low, high), row in zip(ends, rows.to_dict("records"), strict=True):
            share = np.clip(row["share"], 0, 1)
            assert (low, high) == pytest.approx((min(share, row["low"]), max(share, row["high"])), abs=1e-9)
        heights = [bar.get_y() for bar in bars]
        assert panel.get_ylim()[0] > panel.get_ylim()[1]  # the greatest share on top
        assert heights == sorted(heights)


def test_profiles_are_drawn_as_steps() -> None:
    analysis = analyse(inits(he=0.9 + NOISE[0], xavier=0.89 + NOISE[1], zeros=[0.1] * 10))
    profiles = score_profiles(analysis)
    (panel,) = score_profile(analysis, profiles).axes
    lines = {line.get_label(): line for line in panel.get_lines()}
    for place, name in enumerate(profiles[0].names):
        distances, shares = np.asarray(lines[name].get_xdata()), np.asarray(lines[name].get_ydata())
        np.testing.assert_array_equal(distances[:-1], profiles[0].within)
        np.testing.assert_array_equal(shares[:-1], profiles[0].shares[place])
        assert lines[name].get_drawstyle() == "steps-post"
    assert panel.get_ylabel() == "share of 10 seeds"
    assert len(panel.collections) == 3  # bands


def test_time_profiles_begin_at_the_fastest() -> None:
    analysis = analyse(inits(he=[0.95] * 6, xavier=[0.95, 0.95, 0.95, 0.5, 0.5, 0.5]))
    (panel,) = time_profile(analysis, time_profiles(analysis)).axes
    lines = {line.get_label(): line for line in panel.get_lines()}
    assert np.asarray(lines["he"].get_xdata())[0] == 1
    assert set(np.asarray(lines["he"].get_ydata())) == {1.0}
    assert set(np.asarray(lines["xavier"].get_ydata())) == {0.5}
    assert panel.get_xscale() == "log"


def test_profiles_over_data_sets_say_so() -> None:
    analysis = analyse(study_of(*crossed("wine", "digits")))
    (panel,) = score_profile(analysis, score_profiles(analysis)).axes
    assert (panel.get_title(), panel.get_ylabel()) == ("across data sets", "share of 2 data sets")


def test_the_bars_of_shares_have_every_factor_however_small() -> None:
    """What is asked for is the initializer, whose share may be the least."""
    names = ["rate", "rate × depth", "depth", "rate × data", "data", "depth × data", "seed", "initializer"]
    factors = [1, 2, 1, 2, 1, 2, 0, 1]
    sources = pd.DataFrame({"source": names, "factors": factors, "share": np.linspace(0.5, 0.01, 8)})
    assert list(shown_sources(sources, 5)["source"]) == ["rate", "rate × depth", "depth", "data", "initializer"]
    assert list(shown_sources(sources, 2)["source"]) == ["rate", "depth", "data", "initializer"]
    assert list(shown_sources(sources, 12)["source"]) == names
