"""With ReLU, zero initialization is fine?"""

import pandas as pd
import pytest

from initlab.lessons.claims.symmetry_relu import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers, members, pairs


def tables(*, distinct: float, verdict: str) -> dict[str, pd.DataFrame]:
    rows = [
        {"init": init, "epoch": epoch, "distinct_units": count, "weight_norm": float(count > 1)}
        for init, count in (("zeros", distinct), ("he_normal", 64.0))
        for epoch in (0, 5)
    ]
    return {
        "trained.signal": layers(rows, "distinct_units", "weight_norm"),
        "trained.members": members([{"init": "zeros", "test_score": 0.3}, {"init": "he_normal", "test_score": 0.8}]),
        "trained.pairs": pairs(("he_normal", "zeros", verdict, 0.5)),
    }


@pytest.mark.parametrize(
    ("distinct", "verdict", "expected"),
    [
        (1.0, "better", "does not hold"),
        (40.0, "equivalent", "holds"),
        (1.0, "undecided", "undecided"),
        (40.0, "better", "undecided"),
    ],
)
def test_the_verdict_follows_units_and_accuracy(distinct: float, verdict: str, expected: Answer) -> None:
    finding = judge(tables(distinct=distinct, verdict=verdict))
    assert finding.answer == expected
    units = "all 64 units of the first hidden layer are copies of one" if distinct == 1 else "at most 40 of 64 units"
    assert units in finding.seen[0]
    assert "From He's weights all 64 respond differently." in finding.seen[0]
    assert ("always answers the same class" in finding.seen[1]) == (distinct == 1)
    assert "accuracy is 0.300" in finding.seen[1]


def test_the_picture_has_a_line_for_each_start() -> None:
    figure = draw(tables(distinct=1.0, verdict="better"))
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["zeros", "He's weights"]
