"""With large weights tanh and sigmoid saturate, so that gradients fade?"""

import pandas as pd
import pytest

from initlab.lessons.claims.saturation import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def tables(*, tanh: float, sigmoid: float, saturated: float = 0.9, spread: float = 1.0) -> dict[str, pd.DataFrame]:
    """By activation the length of the first layer's gradient with large weights; with LeCun's it is 1."""
    rows = [
        {"activation": name, "init.gain": gain, "position": layer, "layer": f"hidden.{layer - 1}"}
        | {"saturated": share, "weight_gradient_norm": length**layer}
        | {"weight_gradient_norm_min": length / spread, "weight_gradient_norm_max": length * spread}
        for name, large in (("tanh", tanh), ("sigmoid", sigmoid))
        for gain, share, length in ((1.0, 0.03, 1.0), (64.0, saturated, large))
        for layer in (1, 2)
    ]
    return {"probed.signal": layers(rows, "saturated")}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"tanh": 0.1, "sigmoid": 0.1}, "holds"),
        ({"tanh": 10.0, "sigmoid": 10.0}, "does not hold"),
        ({"tanh": 10.0, "sigmoid": 0.1}, "holds only where"),
        ({"tanh": 10.0, "sigmoid": 10.0, "saturated": 0.01}, "undecided"),
        ({"tanh": 10.0, "sigmoid": 10.0, "spread": 5.0}, "undecided"),
    ],
)
def test_the_verdict_follows_saturation_and_gradient(changed: dict[str, float], expected: Answer) -> None:
    assert judge(tables(**changed)).answer == expected


def test_it_says_along_what_the_gradient_goes() -> None:
    seen = judge(tables(tanh=10.0, sigmoid=0.1)).seen[-1]
    assert seen.startswith("As the weights grow from LeCun's own to 64 times those, the length of the gradient")
    assert seen.endswith("goes from 1 to 10 (tanh) and from 1 to 0.1 (sigmoid).")


def test_the_picture_has_shares_above_lengths() -> None:
    figure = draw(tables(tanh=10.0, sigmoid=10.0))
    assert [axes.get_title() for axes in figure.axes] == ["tanh", "sigmoid"] * 2
    assert figure.axes[0].get_ylabel() == "share of saturated units"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["LeCun's × 1", "LeCun's × 64"]
