"""One run each shows which scheme is better?"""

from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from initlab.lessons.claims.seeds import draw, drawn_pairs, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs


def tables(scores: Mapping[str, Sequence[float]], *rows: tuple[str, str, str, float]) -> dict[str, pd.DataFrame]:
    members = [
        {"init": init, "seed": seed, "test_score": score}
        for init, values in scores.items()
        for seed, score in enumerate(values)
    ]
    return {"trained.members": pd.DataFrame(members), "trained.pairs": pairs(*rows)}


APART = {"a": [0.9, 0.91], "b": [0.1, 0.11]}
NEAR = {"a": [0.5, 0.7], "b": [0.5, 0.6]}
BOTH = {"a": [0.5, 0.7], "b": [0.5, 0.6], "c": [0.1, 0.11]}


@pytest.mark.parametrize(
    ("scores", "rows", "expected"),
    [
        (APART, [("a", "b", "better", 0.8)], "holds"),
        (APART, [("b", "a", "worse", -0.8)], "holds"),
        (NEAR, [("a", "b", "better", 0.05)], "does not hold"),
        (BOTH, [("a", "b", "better", 0.05), ("a", "c", "better", 0.5)], "holds only where"),
        (NEAR, [("a", "b", "undecided", 0.05)], "undecided"),
    ],
)
def test_the_verdict_follows_the_draws(
    scores: dict[str, Sequence[float]], rows: list[tuple[str, str, str, float]], expected: Answer
) -> None:
    finding = judge(tables(scores, *rows))
    assert finding.answer == expected
    if expected == "holds only where":
        assert finding.where == (
            "the means of both schemes differ by 4.9 standard deviations of a run or more: then one run each "
            "names the better scheme in at least 95 % of draws; at 0.4 it does not"
        )


def test_each_draw_of_one_network_each_counts_once() -> None:
    made = tables(NEAR, ("a", "b", "better", 0.05))
    (pair,) = drawn_pairs(made)
    # 0.5 against 0.5 and 0.6, 0.7 against 0.5 and 0.6: a tie, one lost, two won.
    assert (pair.right, pair.tied, pair.wrong) == (0.5, 0.25, 0.25)
    assert "in 50 % of all draws, the opposite in 25 %, and both score the same in 25 %" in judge(made).seen[1]
    assert len(draw(made).axes[0].patches) == 3
