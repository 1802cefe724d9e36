"""Too large weights: gradients explode, training diverges?"""

import pandas as pd
import pytest

from initlab.lessons.claims.too_large import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers, pairs

DEPTHS, STDS = (3, 30), (0.18, 1.0)


def tables(
    *, gradient: float = 1e6, large: float = 0.1, usual: float = 0.9, status: str = "finished", verdict: str = "worse"
) -> dict[str, pd.DataFrame]:
    """What descent scores from large and from usual weights, Adam's status, and its verdict of the large ones."""
    keys = [{"model.depth": depth, "init.std": std} for depth in DEPTHS for std in STDS]
    start = [key | {"weight_gradient_norm": gradient if key["init.std"] == 1 else 1.0} for key in keys]
    scores = [key | {"status": "finished", "test_score": large if key["init.std"] == 1 else usual} for key in keys]
    scored = [key | {"score": 0.9, "score_low": 0.8, "score_high": 0.95} for key in keys]
    parts = [
        pairs(
            ("init.std=0.18", "init.std=1", {"worse": "better"}.get(verdict, verdict), 0.1),
            setting=f"model.depth={depth}",
        )
        for depth in DEPTHS
    ]
    return {
        "start.signal": layers(start, "weight_gradient_norm"),
        "descent.members": pd.DataFrame(scores),
        "adam.members": pd.DataFrame([key | {"status": status, "test_score": 0.5} for key in keys]),
        "adam.candidates": pd.DataFrame(scored),
        "adam.pairs": pd.concat(parts),
    }


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "holds only where"),
        ({"status": "diverged"}, "holds"),
        ({"large": 0.9, "verdict": "equivalent"}, "does not hold"),
        ({"gradient": 0.5}, "undecided"),
        ({"usual": 0.1}, "undecided"),
        ({"verdict": "undecided"}, "undecided"),
    ],
)
def test_the_verdict_follows_gradient_descent_and_adam(changed: dict[str, float], expected: Answer) -> None:
    assert judge(tables(**changed)).answer == expected  # type: ignore[arg-type]


def test_it_says_how_many_are_lost() -> None:
    seen = judge(tables()).seen
    assert seen[1].startswith("Plain gradient descent loses 100 % at 3 layers and 100 % at 30 layers from σ = 1;")
    assert "-0.10 at 3 layers (worse)" in seen[2]


def test_the_picture_has_a_panel_for_each_optimizer() -> None:
    figure = draw(tables())
    assert [axes.get_title() for axes in figure.axes] == ["plain gradient descent", "Adam"]
