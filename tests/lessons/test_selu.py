"""LeCun's scaling makes SELU self-normalizing?"""

import pandas as pd
import pytest

from initlab.lessons.claims.selu import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def tables(
    *, scaled: float = 1.0, pixels: float = 1.0, mean: float = 0.0, spread: float = 0.0
) -> dict[str, pd.DataFrame]:
    """By inputs, the standard deviation that all layers but the first have."""
    rows = [
        {"init.gain": gain, "data.standardize": given, "position": layer, "layer": f"hidden.{layer - 1}"}
        | {"post_mean": mean, "post_std": 0.55 if layer == 1 else gain * std}
        | {"post_std_min": gain * std - spread, "post_std_max": gain * std + spread}
        for gain in (1.0, 0.75)
        for given, std in ((True, scaled), (False, pixels))
        for layer in range(1, 31)
    ]
    return {"probed.signal": layers(rows, "post_mean")}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "holds"),
        ({"pixels": 0.5}, "holds only where"),
        ({"scaled": 0.5, "pixels": 0.5}, "does not hold"),
        ({"mean": 0.5}, "does not hold"),
        ({"spread": 0.3}, "undecided"),
    ],
)
def test_the_verdict_follows_mean_and_standard_deviation(changed: dict[str, float], expected: Answer) -> None:
    finding = judge(tables(**changed))
    assert finding.answer == expected
    assert "from 0.55 in the first layer to between" in finding.seen[0]
    assert "in the last 15; the mean is between" in finding.seen[0]
    assert finding.seen[2].startswith("With the gain ¾ the standard deviation is between")


def test_the_picture_has_means_above_standard_deviations() -> None:
    figure = draw(tables())
    assert [axes.get_ylabel() for axes in figure.axes] == ["mean of activations"] * 2 + ["standard deviation"] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["inputs of variance 1", "pixels as they are"]
