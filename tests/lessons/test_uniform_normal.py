"""Uniform or normal: does it make no difference at equal variance?"""

import pandas as pd
import pytest

from initlab.lessons.claims.uniform_normal import NORMAL, UNIFORM, draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs

OFF = {"equivalent": -0.0002, "better": 0.05, "worse": -0.05, "undecided": 0.004}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("equivalent", "equivalent", "holds"),
        ("equivalent", "worse", "holds only where"),
        ("better", "worse", "does not hold"),
        ("equivalent", "undecided", "undecided"),
    ],
)
def test_the_verdict_follows_the_intervals(first: str, second: str, expected: Answer) -> None:
    sets = {"digits": first, "teacher": second}
    rows = [pairs((UNIFORM, NORMAL, verdict, OFF[verdict]), data=data) for data, verdict in sets.items()]
    made = {"trained.pairs": pd.concat(rows).assign(low=lambda all_: all_["low"] + 0.001)}
    assert judge(made).answer == expected
    if expected == "holds only where":
        assert [label.get_text() for label in draw(made).axes[0].get_yticklabels()] == ["digits", "teacher"]
