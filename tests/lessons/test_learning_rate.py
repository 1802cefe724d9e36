"""Initialization is one hyperparameter among others, and interacts with the learning rate?"""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from initlab.lessons.claims.learning_rate import draw, judge, shares
from initlab.lessons.finding import Answer
from tests.lessons.made import members


def tables(init: float, rate: float, together: float, noise: float) -> dict[str, pd.DataFrame]:
    """Of 2 × 2 × 2 combinations, whose effects are known: each is plus or minus what is given."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "init": ("he_normal", "normal")[i],
            "optim.lr": (0.1, 1.0)[r],
            "activation": ("relu", "tanh")[a],
            "test_score": list(
                0.5
                + (2 * i - 1) * init
                + (2 * r - 1) * rate
                + (2 * i - 1) * (2 * r - 1) * together
                + rng.normal(0, noise, 10)
            ),
        }
        for i, r, a in product((0, 1), repeat=3)
    ]
    return {"trained.members": members(rows)}


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ((0.05, 0.2, 0.1, 0.01), "holds"),
        ((0.2, 0.05, 0.1, 0.01), "holds only where"),
        ((0.1, 0.2, 0.0, 0.001), "does not hold"),
        ((0.01, 0.01, 0.01, 0.05), "undecided"),
        ((0.0, 0.0, 0.0, 0.0), "undecided"),
    ],
)
def test_the_verdict_follows_the_shares(effects: tuple[float, float, float, float], expected: Answer) -> None:
    assert judge(tables(*effects)).answer == expected


def test_shares_are_the_squares_of_the_effects() -> None:
    found = shares(tables(0.05, 0.2, 0.1, 0.0001))
    whole = 0.05**2 + 0.2**2 + 0.1**2
    assert found["learning rate"].value == pytest.approx(0.2**2 / whole, abs=1e-3)
    assert found["initializer × learning rate"].value == pytest.approx(0.1**2 / whole, abs=1e-3)
    assert found["initializer"].part == pytest.approx((0.05**2 + 0.1**2) / whole, abs=1e-3)


def test_the_picture_has_a_bar_for_each_share() -> None:
    made = tables(0.05, 0.2, 0.1, 0.01)
    axes = draw(made).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(shares(made))
