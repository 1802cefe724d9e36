"""With ReLU, zero initialization is fine?"""

import pandas as pd
import pytest

from initlab.lessons.claims.symmetry_relu import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers, pairs


def tables(*, distinct: float, verdict: str) -> dict[str, pd.DataFrame]:
    rows = [
        {"init": init, "epoch": epoch, "distinct_units": count}
        for init, count in (("zeros", distinct), ("he_normal", 64.0))
        for epoch in (0, 5)
    ]
    return {
        "trained.signal": layers(rows, "distinct_units"),
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
    assert f"are worth {distinct:g}, at the start" in finding.seen[0]


def test_the_picture_has_a_line_for_each_start() -> None:
    figure = draw(tables(distinct=1.0, verdict="better"))
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["zeros", "he_normal"]
