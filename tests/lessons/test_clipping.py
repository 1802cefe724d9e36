"""Gradient clipping saves a network whose gradients explode?"""

import pandas as pd
import pytest

from initlab.lessons.claims.clipping import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import members, pairs

NAN = float("nan")


def tables(saved: str, beside: tuple[str, str]) -> dict[str, pd.DataFrame]:
    rows = [
        {"optim.lr": rate, "gradient_clip": clip, "test_score": NAN if clip == "null" and rate == 1 else 0.8}
        for clip in ("null", "1")
        for rate in (0.1, 1)
    ]
    near, far = beside
    clipped = pairs(("init.std=0.1768", "init.std=0.3", near, 0.1), ("init.std=0.6", "init.std=0.1768", far, -0.1))
    return {
        **{f"{key}.members": members(rows) for key in ("wide", "widest")},
        "clipped.members": members([{**row, "init.std": "0.1768"} for row in rows if row["gradient_clip"] == "1"]),
        **{f"{key}.pairs": pairs(("gradient_clip=1", "gradient_clip=null", saved, 0.1)) for key in ("wide", "widest")},
        "clipped.pairs": clipped,
    }


@pytest.mark.parametrize(
    ("saved", "beside", "expected"),
    [
        ("better", ("equivalent", "equivalent"), "holds"),
        ("better", ("better", "worse"), "holds only where"),  # of He's spread the first, of the other the second
        ("better", ("equivalent", "worse"), "holds only where"),
        ("equivalent", ("better", "worse"), "does not hold"),
        ("better", ("undecided", "worse"), "undecided"),
        ("undecided", ("better", "worse"), "undecided"),
    ],
)
def test_the_verdict_follows_both_comparisons(saved: str, beside: tuple[str, str], expected: Answer) -> None:
    finding = judge(tables(saved, beside))
    assert finding.answer == expected
    assert (
        "up to a learning rate of 0.1, and all do at each rate tried above; with clipping, no network diverges"
        in finding.seen[0]
    )


def test_the_picture_has_a_line_for_each_spread_and_gradient() -> None:
    axes = draw(tables("better", ("better", "worse"))).axes[0]
    assert [line.get_label() for line in axes.get_lines()] == [
        *(f"σ = {spread}, gradient {words}" for spread in ("0.3", "0.6") for words in ("as it is", "clipped")),
        "He's σ = 0.177, gradient clipped",
    ]


def test_the_verdict_says_how_far_clipping_helps() -> None:
    finding = judge(tables("better", ("better", "worse")))
    assert finding.where.endswith(
        "helps from σ = 0.3 and σ = 0.6, but neither σ comes up to what networks reach from He's"
    )
    assert "of both only σ = 0.3 comes up" in judge(tables("better", ("equivalent", "worse"))).where


def test_some_that_diverge_are_not_all() -> None:
    made = tables("better", ("better", "worse"))
    members_of = made["widest.members"]
    members_of.loc[(members_of["status"] == "diverged") & (members_of["seed"] == 0), "status"] = "finished"
    assert "and some do at each rate tried above" in judge(made).seen[0]
