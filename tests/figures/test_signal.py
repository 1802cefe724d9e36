"""The figures of a probe show its tables."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch

from initlab.figures.histograms import activation_histograms
from initlab.figures.signal import PANELS, signal_by_depth
from initlab.figures.spectrum import jacobian_spectrum
from initlab.figures.style import pixels
from initlab.propagation.probe import Probe
from tests.propagation.networks import chain, probe_all, rows


def probed(scheme: str) -> Probe:
    return probe_all(chain(40, 40, 40, 40, 5), rows(16, 40), seed=0, scheme=scheme, seeds=3)


@pytest.fixture(scope="module")
def xavier() -> Probe:
    return probed("xavier")


def heights(panel: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata(), dtype=float) for line in panel.get_lines()]


def test_signal_by_depth(xavier: Probe) -> None:
    figure = signal_by_depth({"xavier": xavier.signal, "he": probed("he").signal})
    assert len(figure.axes) == len(PANELS)
    for panel, (title, column, predicted, factors) in zip(figure.axes, PANELS, strict=True):
        measured, theory, *_ = heights(panel)
        values = xavier.signal.pivot(index="member", columns="position", values=column).to_numpy(float)
        expected = np.exp(np.log(values).mean(0)) if factors else values.mean(0)
        np.testing.assert_allclose(measured, expected)
        np.testing.assert_allclose(theory, xavier.signal[predicted].to_numpy(float)[:4])
        assert panel.get_yscale() == ("log" if factors else "linear")
        assert panel.get_title() == title
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["xavier", "he", "theory"]


def test_a_signal_of_zero_and_one_that_explodes(xavier: Probe) -> None:
    zeros = probed("zeros").signal
    panel = signal_by_depth({"zeros": zeros}).axes[0]
    assert [text.get_text() for text in panel.texts] == ["zero in every layer"]
    exploded = xavier.signal.assign(pre_second_moment=[1.0, 1e50, 1e300, np.inf] * 3)
    measured = heights(signal_by_depth({"exploded": exploded}).axes[0])[0]
    np.testing.assert_allclose(measured[:2], [1.0, 1e50])
    assert np.isnan(measured[2:]).all()


def test_members_that_diverged_are_left_out_without_a_warning(xavier: Probe) -> None:
    """Of infinite weights and gradients of 0 nothing is known; the others' means are drawn. Warnings are errors."""
    lost = xavier.signal["member"] == 0
    diverged = xavier.signal.assign(
        weight_norm=xavier.signal["weight_norm"].mask(lost, np.inf),
        gradient_second_moment=xavier.signal["gradient_second_moment"].mask(lost, 0.0),
    )
    measured = heights(signal_by_depth({"diverged": diverged}).axes[1])[0]
    others = xavier.signal[~lost].pivot(index="member", columns="position", values="gradient_second_moment")
    np.testing.assert_allclose(measured, np.exp(np.log(others.to_numpy(float)).mean(0)))


def test_histograms(xavier: Probe) -> None:
    figure = activation_histograms({"xavier": xavier.histograms, "he": probed("he").histograms})
    panels = [panel for panel in figure.axes if panel.get_visible()]
    assert len(panels) == 2 * 4
    assert panels[0].get_ylabel() == "xavier"
    (steps,) = panels[0].patches
    assert isinstance(steps, StepPatch)
    np.testing.assert_allclose(steps.get_data()[0], xavier.histograms[xavier.histograms["position"] == 1]["density"])


def bins_of(values: np.ndarray, span: tuple[float, float]) -> pd.DataFrame:
    """A histogram table of one layer."""
    density, edges = np.histogram(values, 60, range=span, density=True)
    return pd.DataFrame(
        {"layer": "hidden.0", "position": 1, "left": edges[:-1], "right": edges[1:], "density": density}
    )


def test_a_bar_at_0_is_cut_where_it_flattens_the_rest_and_its_share_is_said() -> None:
    """Half of what a ReLU hands on is 0."""
    normal = np.random.default_rng(0).normal(size=10_000)
    relu, tanh = bins_of(np.maximum(normal, 0), (0, 3)), bins_of(normal, (-3, 3))
    cut, whole = (activation_histograms({"x": table}).axes[0] for table in (relu, tanh))
    others = relu["density"][1:].max()
    assert others < cut.get_ylim()[1] < 2 * others
    share = float(relu["density"][0] * relu["right"][0])
    assert [text.get_text() for text in cut.texts] == [f"cut: {share:.0%} at 0"]
    assert whole.get_ylim()[1] >= tanh["density"].max()
    assert not whole.texts


@pytest.mark.parametrize(("value", "said"), [(0.0, "all are 0"), (-0.25, "all are −0.25")])
def test_values_that_are_all_the_same_have_no_axis(value: float, said: str) -> None:
    span = max(1e-6 * abs(value), 1e-30)
    panel = activation_histograms({"zeros": bins_of(np.full(100, value), (value, value + span))}).axes[0]
    assert [text.get_text() for text in panel.texts] == [said]
    assert not panel.get_xticks().size


def test_long_names_of_rows_do_not_overlap() -> None:
    table = bins_of(np.random.default_rng(0).normal(size=1000), (-3, 3))
    names = [f"xavier_normal, activation=leaky_relu, model.depth={depth}" for depth in range(8)]
    figure = activation_histograms(dict.fromkeys(names, table))
    pixels(figure)
    boxes = [panel.yaxis.label.get_window_extent() for panel in figure.axes]
    assert all(below.y1 < above.y0 for above, below in pairwise(boxes))


def test_spectrum(xavier: Probe) -> None:
    (panel,) = jacobian_spectrum({"xavier": xavier.spectrum, "zeros": probed("zeros").spectrum}).axes
    means = np.log(xavier.spectrum["singular_value"]).groupby(xavier.spectrum["index"]).mean()
    np.testing.assert_allclose(heights(panel)[0], np.exp(means))
    predicted = float(np.sqrt(xavier.spectrum["predicted_mean_square"].iloc[0]))
    assert predicted in [height[0] for height in heights(panel) if len(height)]
    legend = panel.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["xavier", "zeros (all zero)"]


def test_a_single_member_has_no_spread() -> None:
    table: pd.DataFrame = probe_all(chain(6, 5, 3), torch.ones(2, 6), seed=0).signal
    assert len(signal_by_depth({"one": table}).axes) == len(PANELS)
