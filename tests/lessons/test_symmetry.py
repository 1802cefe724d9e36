"""Do zero weights keep the units of a layer equal, and the network from learning?"""

import pandas as pd
import pytest

from initlab.lessons.claims.symmetry import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers, pairs


def tables(
    *, distinct: tuple[float, float] = (1.0, 1.0), best: float = 0.4, verdict: str = "better"
) -> dict[str, pd.DataFrame]:
    """Of relu, whose weights stay at zero, and of sigmoid, whose weights move: distinct units, and sigmoid's score."""
    rows = [
        {"init": init, "activation": activation, "epoch": epoch, "position": position}
        | {"distinct_units": count if init == "zeros" and position == 1 else 3.0}
        | {"weight_norm": 0.0 if init == "zeros" and activation == "relu" else 0.1}
        for init in ("zeros", "he_normal")
        for activation, count in zip(("relu", "sigmoid"), distinct, strict=True)
        for epoch in (0, 5)
        for position in (1, 2)
    ]
    scores = [
        ("relu", "zeros", 0.4),
        ("sigmoid", "zeros", best),
        ("relu", "he_normal", 0.9),
        ("sigmoid", "he_normal", 0.9),
    ]
    members = pd.DataFrame(
        [{"activation": a, "init": i, "test_score": s, "job": a + i, "seed": 0} for a, i, s in scores]
    )
    both = [pairs(("he_normal", "zeros", verdict, 0.5), setting=name) for name in ("relu", "sigmoid")]
    return {
        "trained.signal": layers(rows, "distinct_units", "weight_norm"),
        "trained.pairs": pd.concat(both),
        "trained.members": members,
    }


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tables(), "holds"),
        (tables(best=0.5), "holds only where"),
        (tables(distinct=(1.0, 2.0)), "holds only where"),
        (tables(distinct=(64.0, 64.0), verdict="equivalent"), "does not hold"),
        (tables(verdict="undecided"), "undecided"),
        (tables(distinct=(64.0, 64.0)), "undecided"),
    ],
)
def test_the_verdict_follows_units_and_accuracy(made: dict[str, pd.DataFrame], expected: Answer) -> None:
    assert judge(made).answer == expected


def test_the_condition_is_the_activation() -> None:
    assert str(judge(tables(best=0.5))) == "It holds only where the activation is relu."
    assert "no weight moved at all: such a network always answers one class, 0.400 accurate" in judge(tables()).seen[2]
    assert "With sigmoid the weights did move, but no network reaches more than 0.400." in judge(tables()).seen[2]
    assert "With sigmoid the weights did move, and the best reaches 0.500." in judge(tables(best=0.5)).seen[2]


def test_the_picture_has_a_line_for_each_start() -> None:
    labels = [line.get_label() for line in draw(tables()).axes[0].get_lines()]
    assert labels == ["zeros", "He's weights"]
