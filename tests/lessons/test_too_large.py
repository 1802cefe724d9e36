"""Too large weights: gradients explode, training diverges?"""

import numpy as np
import pandas as pd
import pytest

from initlab.lessons.claims.too_large import RATE, draw, judge
from initlab.lessons.finding import Answer
from initlab.lessons.lesson import read_lesson
from tests.lessons.made import layers, pairs

DEPTHS, STDS = (3, 30), (0.18, 1.0)


def tables(
    *,
    gradient: float = 1e6,
    large: float = 0.1,
    usual: float = 0.9,
    adam: tuple[float, float] = (0.5, 0.1),
    verdict: str = "worse",
) -> dict[str, pd.DataFrame]:
    """What descent scores from large and usual weights, Adam from large ones at both depths, and its verdict."""
    keys = [{"model.depth": depth, "init.std": std} for depth in DEPTHS for std in STDS]
    start = [key | {"weight_gradient_norm": gradient if key["init.std"] == 1 else 1.0} for key in keys]
    scores = [key | {"status": "finished", "test_score": large if key["init.std"] == 1 else usual} for key in keys]
    scored = [key | {"job": f"{at}", "score": 0.9, "score_low": 0.8, "score_high": 0.95} for at, key in enumerate(keys)]
    ends: dict[float, float] = dict(zip(DEPTHS, adam, strict=True))
    best = [
        key
        | {
            "job": f"{at}",
            "status": "finished",
            "test_score": ends[key["model.depth"]] if key["init.std"] == 1 else 0.9,
        }
        for at, key in enumerate(keys)
    ]
    other = [key | {"job": "another rate", "status": "finished", "test_score": 0.1} for key in keys]
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
        "adam.members": pd.DataFrame([*best, *other]),
        "adam.candidates": pd.DataFrame(scored),
        "adam.pairs": pd.concat(parts),
    }


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "holds only where"),
        ({"adam": (0.1, 0.1)}, "holds"),
        ({"adam": (0.1, float("nan"))}, "holds"),
        ({"large": 0.9, "adam": (0.5, 0.5), "verdict": "equivalent"}, "does not hold"),
        ({"large": 0.9}, "undecided"),
        ({"gradient": 0.5}, "undecided"),
        ({"usual": 0.1}, "undecided"),
        ({"verdict": "undecided"}, "holds only where"),
    ],
)
def test_the_verdict_follows_gradient_descent_and_adam(changed: dict[str, object], expected: Answer) -> None:
    assert judge(tables(**changed)).answer == expected  # type: ignore[arg-type]


def test_it_says_how_many_are_lost_with_both() -> None:
    finding = judge(tables())
    assert finding.where == (
        "plain gradient descent keeps to its usual rate 0.05: from σ = 1 it loses all networks. Adam at its best "
        "rate loses 100 % of them at 30 layers and none elsewhere, and its accuracy, too, is worse at all depths than "
        "from σ = 0.18"
    )
    assert judge(tables(adam=(0.5, 0.5), verdict="equivalent")).where.endswith("Adam at its best rate loses none")
    seen = finding.seen
    assert seen[2].endswith(
        "0 diverge. At its best rate Adam loses 100 % at 30 layers from σ = 1; elsewhere it loses none."
    )
    assert seen[1].startswith("Plain gradient descent loses 100 % at 3 layers and 100 % at 30 layers from σ = 1;")
    assert "-0.10 at 3 layers (worse)" in seen[3]


def test_the_rate_of_descent_is_that_of_the_command() -> None:
    assert f"optim.lr={RATE:g}" in read_lesson("too_large").experiments["descent"].words


def test_the_picture_shows_what_is_lost_with_both_and_what_adam_reaches() -> None:
    figure = draw(tables())
    lost = "share of networks that are lost"
    assert [axes.get_ylabel() for axes in figure.axes] == [lost, lost, "test accuracy"]
    descent, adam, _ = ([np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()] for axes in figure.axes)
    assert descent == [[0, 1], [0, 1]]  # of each depth along σ
    assert adam == [[0, 0], [0, 1]]
