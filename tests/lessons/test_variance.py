"""The variance of the weights sets the spread of activations in every layer?"""

import pandas as pd
import pytest

from initlab.lessons.claims.variance import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def tables(*, narrow: float = 64, spread: float = 1.0, formula: float = 1.0) -> dict[str, pd.DataFrame]:
    """As the formula says; the narrow nets behave as with another width."""
    rows = []
    for width, inputs in ((256, 256.0), (64, narrow)):
        for std in (0.0221, 0.0884, 0.1768):
            for layer in range(1, 11):
                value = (inputs * std**2 / 2) ** layer
                rows.append(
                    {"model.width": width, "init.std": std, "position": layer, "layer": f"hidden.{layer - 1}"}
                    | {"pre_second_moment": value, "predicted_second_moment": value / formula}
                    | {"pre_second_moment_min": value / spread, "pre_second_moment_max": value * spread}
                )
    return {"probed.signal": layers(rows)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "holds only where"),
        ({"narrow": 256.0}, "holds"),
        ({"spread": 100.0}, "undecided"),
        ({"formula": 3.0}, "undecided"),
    ],
)
def test_the_verdict_follows_order_formula_and_width(changed: dict[str, float], expected: Answer) -> None:
    finding = judge(tables(**changed))
    assert finding.answer == expected
    if expected == "holds only where":
        assert finding.where.startswith("nets of the same width are compared")


def test_the_picture_has_a_panel_for_each_width_with_the_formula() -> None:
    figure = draw(tables())
    assert [axes.get_title() for axes in figure.axes] == ["256 units a layer", "64 units a layer"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["σ = 0.0221", "σ = 0.0884", "σ = 0.1768", "theory"]
