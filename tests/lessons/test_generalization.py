"""Careful initialization generalizes better?"""

import pandas as pd
import pytest

from initlab.lessons.claims.generalization import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs

SCALES = ("0.02", "2", "20")


def tables(small: str, large: str, loss: float) -> dict[str, pd.DataFrame]:
    """How He's variance stands to a smaller and to a larger one; the training loss from the larger."""
    names = [f"init.scale={scale}" for scale in SCALES]
    candidates = pd.DataFrame({"job": SCALES, "init.scale": SCALES, "candidate": names, "score": 0.9, "seeds": 30})
    history = [
        {"job": job, "split": split, "epoch": epoch, "loss": 1 / (epoch + 1), "score": 0.9}
        for job in SCALES
        for split in ("train", "val")
        for epoch in range(3)
    ]
    return {
        "trained.candidates": candidates,
        "trained.members": pd.DataFrame({"job": SCALES, "train_loss": [0.01, 0.01, loss]}),
        "trained.pairs": pairs(
            (names[1], names[0], small, {"better": 0.007}.get(small, -0.005)), (names[1], names[2], large, 0.05)
        ),
        "trained.history": pd.DataFrame(history).assign(score_low=0.8, score_high=1.0),
    }


@pytest.mark.parametrize(
    ("small", "large", "loss", "expected"),
    [
        ("better", "better", 0.01, "holds"),
        ("equivalent", "better", 0.01, "holds only where"),
        ("equivalent", "better", 1.0, "does not hold"),  # what has not learned is not compared
        ("worse", "undecided", 0.01, "undecided"),
    ],
)
def test_the_verdict_follows_starts_that_have_learned(small: str, large: str, loss: float, expected: Answer) -> None:
    made = tables(small, large, loss)
    finding = judge(made)
    assert finding.answer == expected
    assert ("Not all networks learned them from 10 times He's variance." in finding.seen) == (loss == 1)
    if expected == "holds":
        assert finding.where == (
            "on test rows networks from He's variance score higher than those from 0.01 times He's variance (+0.007, "
            "less than the 0.01 that matters) and 10 times He's variance (+0.050)"
        )
    if expected == "holds only where":
        words = "the other start has 10 times He's variance (+0.050); He's is no better than 0.01 times He's variance"
        assert finding.where == words
        assert len(draw(made).axes[0].get_lines()) == 3
