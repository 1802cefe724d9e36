"""Do equal weights other than zero keep the units of a layer equal as well?"""

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from initlab.lessons.claims.constant import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def tables(small: float, large: float, random: float = 64.0) -> dict[str, pd.DataFrame]:
    """Distinct units from weights of 0.01 and of 1, and from random weights."""
    equal = [{"init.value": 0.01, "count": small}, {"init.value": 1.0, "count": large}]
    others = [{"init": "zeros", "count": 1.0}, {"init": "he_normal", "count": random}]
    return {
        "equal.signal": _signal(equal),
        "others.signal": _signal(others),
        "equal.members": _members(equal),
        "others.members": _members(others),
    }


def _signal(kinds: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    rows = [
        {**kind, "activation": "relu", "epoch": epoch, "position": position}
        | {"distinct_units": kind["count"] if position == 1 else 3.0}
        for kind in kinds
        for epoch in (0, 5)
        for position in (1, 2)
    ]
    return layers(rows, "distinct_units")


def _members(kinds: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(
        [{**kind, "activation": "relu", "test_score": 0.25 + 0.25 * at} for at, kind in enumerate(kinds)]
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tables(1.0, 1.0), "It holds: the units of a hidden layer stay copies of one."),
        (tables(1.0, 5.0), "It holds only where weights are 0.01 with relu."),
        (tables(7.0, 5.0), "It does not hold: the units come to differ with each value and activation."),
    ],
)
def test_the_verdict_follows_units(made: dict[str, pd.DataFrame], expected: str) -> None:
    assert str(judge(made)) == expected


def test_without_units_that_differ_nothing_is_decided() -> None:
    expected: Answer = "undecided"
    assert judge(tables(1.0, 1.0, random=1.0)).answer == expected


def test_what_is_learned_is_said_with_the_best_of_them() -> None:
    said = judge(tables(1.0, 1.0)).seen[1]
    assert (
        "1 with relu learns most: the mean test accuracy is 0.500, beside 0.250 from zeros and 0.500 from He's" in said
    )
    assert "At the best value they do better than zeros with relu (0.500, zeros 0.250)." in said


def test_it_is_said_where_equal_weights_learn_no_more_than_zeros() -> None:
    made = tables(1.0, 1.0)
    made["equal.members"]["test_score"] = 0.2
    assert "No value does better than zeros with relu (0.200, zeros 0.250)." in judge(made).seen[1]


def test_the_picture_has_a_place_for_each_start() -> None:
    axes = draw(tables(1.0, 1.0)).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["zeros", "all 0.01", "all 1", "random (He)"]
