"""Xavier keeps the variance of activations and of gradients in balance for tanh?"""

import pandas as pd
import pytest

from initlab.lessons.claims.xavier_balance import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def signal(forward: float, back: float, spread: float) -> pd.DataFrame:
    """Factors a layer of the activations, and of the gradient on its way back."""
    rows = [
        {"activation": activation, "position": layer, "layer": f"hidden.{layer - 1}"}
        | {f"post_second_moment{end}": factor * forward**layer for end, factor in ends.items()}
        | {f"gradient_second_moment{end}": factor * back ** (7 - layer) for end, factor in ends.items()}
        for ends in [{"": 1.0, "_min": 1 / spread, "_max": spread}]
        for activation in ("tanh", "sigmoid")
        for layer in range(1, 7)
    ]
    return layers(rows)


def tables(equal: tuple[float, float], halving: tuple[float, float], spread: float = 1.0) -> dict[str, pd.DataFrame]:
    return {"equal.signal": signal(*equal, spread), "halving.signal": signal(*halving, spread)}


@pytest.mark.parametrize(
    ("equal", "halving", "spread", "expected"),
    [
        ((0.9, 0.9), (1.0, 0.9), 1.0, "holds"),
        ((0.9, 0.9), (1.0, 0.5), 1.0, "holds only where"),
        ((0.9, 0.5), (1.0, 0.5), 1.0, "does not hold"),
        ((0.9, 0.9), (1.0, 0.5), 1.5, "undecided"),
    ],
)
def test_the_verdict_follows_both_factors(
    equal: tuple[float, float], halving: tuple[float, float], spread: float, expected: Answer
) -> None:
    finding = judge(tables(equal, halving, spread))
    assert finding.answer == expected
    assert f"on its way back by {halving[1]:.2f}" in finding.seen[1]


def test_it_says_which_is_not_kept_and_what_many_layers_make_of_it() -> None:
    assert judge(tables((1.0, 1.0), (1.0, 1.0))).where == ""
    far = "a factor of 0.85 a layer makes the activations' mean square 2 times smaller over 6 layers"
    assert judge(tables((0.85, 0.9), (1.0, 0.9))).where == f"from one layer to the next; in layers of equal width {far}"
    only = judge(tables((0.85, 0.9), (1.0, 0.5))).where
    assert only.startswith(f"the net has layers of equal width, and there only from one layer to the next: {far}. In ")
    assert only.endswith("In layers that halve the gradient (0.50 a layer) is not kept")
    both = judge(tables((1.0, 0.9), (0.7, 0.5))).where
    assert both.endswith(
        ": in layers that halve the activations (0.70 a layer) and the gradient (0.50 a layer) are not kept"
    )


def test_the_picture_has_activations_above_gradients() -> None:
    figure = draw(tables((0.9, 0.9), (1.0, 0.5)))
    assert [axes.get_ylabel().split()[-1] for axes in figure.axes] == ["activations"] * 2 + ["gradients"] * 2
