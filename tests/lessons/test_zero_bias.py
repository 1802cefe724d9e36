"""Biases may start at zero?"""

import pandas as pd
import pytest

from initlab.lessons.chapter import finding_of
from initlab.lessons.claims.zero_bias import RANDOM, ZERO, draw
from initlab.lessons.finding import Answer
from initlab.lessons.lesson import read_lesson
from tests.lessons.made import pairs

LESSON = read_lesson("zero_bias")


def tables(first: str, second: str) -> dict[str, pd.DataFrame]:
    """Of two data sets, how zero biases stand to random ones."""
    verdicts = {"digits": first, "spirals": second}
    loss = {"equivalent": 0.002, "worse": -0.05, "undecided": -0.005, "better": 0.05}
    rows = [pairs((ZERO, RANDOM, verdict, loss[verdict]), data=data) for data, verdict in verdicts.items()]
    scores = [
        {"data": data, "candidate": name, "score": 0.5, "rate": 0.03, "at_edge": (data, name) == ("spirals", ZERO)}
        for data in verdicts
        for name in (ZERO, RANDOM)
    ]
    return {"trained.pairs": pd.concat(rows), "trained.candidates": pd.DataFrame(scores)}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("equivalent", "better", "holds"),
        ("equivalent", "worse", "holds only where"),
        ("worse", "worse", "does not hold"),
        ("equivalent", "undecided", "undecided"),
        ("undecided", "worse", "does not hold"),
    ],
)
def test_the_verdict_follows_the_data_sets(first: str, second: str, expected: Answer) -> None:
    made = tables(first, second)
    finding = finding_of(LESSON, made, seeds=LESSON.seeds)
    assert finding.answer == expected
    assert finding.certainty.endswith(
        "The smallest or largest learning rate tried is the best for zero biases on spirals (0.03); beyond it they may "
        "do better."
    )
    if expected == "holds only where":
        assert finding.where == "the data are digits; on spirals random biases are better"
        assert [label.get_text() for label in draw(made).axes[0].get_yticklabels()] == ["digits", "spirals"]


def test_nothing_is_said_of_rates_where_the_best_lies_between_others() -> None:
    made = tables("equivalent", "worse")
    made["trained.candidates"]["at_edge"] = False
    assert "learning rate" not in finding_of(LESSON, made, seeds=LESSON.seeds).certainty
