"""Orthogonal starts make depth no obstacle to linear and tanh nets?"""

import pandas as pd
import pytest

from initlab.lessons.claims.orthogonal import draw, judge
from initlab.lessons.finding import Answer


def tables(linear: float, tanh: float, spread: float) -> dict[str, pd.DataFrame]:
    """Epochs that deep nets take from orthogonal weights; shallow ones take 2, and Gaussian ones never arrive."""
    rows: list[dict[str, object]] = []
    for activation, deep in (("identity", linear), ("tanh", tanh)):
        for depth, epochs, width in (("4", 2.0, 0.0), ("32", deep, spread)):
            for init, taken in (("orthogonal", epochs), ("lecun_normal", float("inf"))):
                ends = {"epochs": taken, "epochs_low": taken - width, "epochs_high": taken + width}
                keys = {
                    "init": init,
                    "activation": activation,
                    "model.depth": depth,
                    "job": f"{init}{activation}{depth}",
                }
                rows.append({**keys, **ends, "seeds": 20, "reached": 3, "threshold": 0.9})
    jobs = [str(row["job"]) for row in rows]
    curves = [{"job": job, "split": "val", "epoch": epoch, "score": 0.5} for job in jobs for epoch in (0, 1)]
    history = pd.DataFrame(curves).assign(score_low=0.4, score_high=0.6)
    return {"trained.candidates": pd.DataFrame(rows), "trained.history": history}


@pytest.mark.parametrize(
    ("linear", "tanh", "spread", "expected"),
    [
        (3, 4, 0, "holds"),
        (3, 8, 0, "holds only where"),
        (9, 8, 1, "does not hold"),
        (3, 5, 3, "undecided"),
    ],
)
def test_the_verdict_follows_the_intervals_of_epochs(
    linear: float, tanh: float, spread: float, expected: Answer
) -> None:
    made = tables(linear, tanh, spread)
    assert "∞" not in judge(made).certainty
    finding = judge(made)
    assert finding.answer == expected
    assert "never (3 of 20 networks do)" in finding.seen[0]
    if expected == "holds only where":
        assert finding.where == "the net is linear: tanh nets take more epochs when they are deep"
        assert [axes.get_title() for axes in draw(made).axes] == ["linear nets", "tanh nets"]


def test_an_interval_without_an_end_is_explained() -> None:
    made = tables(3, 8, 0)
    rows = made["trained.candidates"]
    rows.loc[rows["epochs"] == 8, "epochs_high"] = float("inf")
    assert "8 [8, ∞] from orthogonal weights" in judge(made).seen[1]
    assert judge(made).certainty.endswith("∞: beyond the 1 epochs of training.")
