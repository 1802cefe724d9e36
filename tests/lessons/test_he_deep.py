"""With ReLU, He beats Xavier, the more the deeper?"""

import pandas as pd
import pytest

from initlab.lessons.claims.he_deep import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs

SEEN = {2: ("equivalent", 0.0), 10: ("undecided", 0.01), 20: ("better", 0.1), 30: ("better", 0.3)}


def tables(**changed: tuple[str, float]) -> dict[str, pd.DataFrame]:
    """By depth the verdict of He, and the difference of the scores; settings in the order of text."""
    found = SEEN | {int(key.removeprefix("at")): value for key, value in changed.items()}
    parts = [
        pairs(("he_normal", "xavier_normal", *found[depth]), setting=f"model.depth={depth}")
        for depth in sorted(found, key=str)
    ]
    return {"trained.pairs": pd.concat(parts)}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "holds only where"),
        ({"at2": ("better", 0.02), "at10": ("better", 0.05)}, "holds"),
        ({"at20": ("equivalent", 0.0), "at30": ("equivalent", 0.0)}, "undecided"),  # as 10 is open
        ({"at10": ("worse", -0.1), "at20": ("worse", -0.1), "at30": ("equivalent", 0.0)}, "does not hold"),
        ({"at30": ("undecided", 0.1)}, "undecided"),
        ({"at30": ("better", 0.11)}, "undecided"),
        ({"at30": ("better", 0.02)}, "does not hold"),
    ],
)
def test_the_verdict_follows_the_pairs(changed: dict[str, tuple[str, float]], expected: Answer) -> None:
    assert judge(tables(**changed)).answer == expected


def test_it_says_from_which_depth_on() -> None:
    where = judge(tables()).where
    assert where == "the net is 20 or 30 layers deep: no advantage is seen at 2 (equivalent) and 10 (undecided)"
    assert (
        judge(tables())
        .seen[2]
        .startswith("At 20 layers, test accuracy from He's weights minus that from Xavier's is +0.100")
    )


def test_the_picture_has_a_row_for_each_depth() -> None:
    axes = draw(tables()).axes[0]
    assert [text.get_text() for text in axes.texts] == ["equivalent", "undecided", "better", "better"]
