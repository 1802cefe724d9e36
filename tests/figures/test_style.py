"""Files of figures: what matplotlib's own `savefig` writes, drawn once."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from initlab.figures.style import RESOLUTION, save_png, save_svg


def _curves() -> Figure:
    figure = Figure(figsize=(5, 3), layout="constrained")
    for place, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        axes.plot(np.arange(9) ** (place + 1), label=f"to the {place + 1}")
        axes.set(title=f"panel {place}", xlabel="epoch", ylabel="loss", yscale="log" if place else "linear")
    figure.legend(loc="outside upper center")
    return figure


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_file_is_matplotlibs_and_the_figure_is_drawn_once_and_left_as_it_was(kind: str, tmp_path: Path) -> None:
    reference, ours = tmp_path / f"theirs.{kind}", tmp_path / f"ours.{kind}"
    metadata = {"Date": None, "Creator": None} if kind == "svg" else None
    with rc_context({"svg.hashsalt": "initlab"}):
        _curves().savefig(reference, dpi=RESOLUTION if kind == "png" else "figure", metadata=metadata)
    figure = _curves()
    canvas, dpi = figure.canvas, figure.dpi
    with patch.object(Figure, "draw", autospec=True, side_effect=Figure.draw) as drawn:
        (save_png if kind == "png" else save_svg)(figure, ours)
    assert ours.read_bytes() == reference.read_bytes()
    assert drawn.call_count == 1
    assert (figure.canvas, figure.dpi) == (canvas, dpi)
    np.testing.assert_allclose(figure.get_size_inches(), (5, 3))
