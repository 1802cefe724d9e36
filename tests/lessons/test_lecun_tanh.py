"""LeCun's scaling is made for tanh?"""

import pandas as pd
import pytest

from initlab.lessons.claims.lecun_tanh import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs


def tables(shallow: str, deep: str, by: float = 0.02) -> dict[str, pd.DataFrame]:
    """Verdicts of LeCun beside He at 2 and 10 layers; beside the others it is equivalent."""
    parts = [
        pairs(
            ("lecun_normal", "xavier_normal", "equivalent", 0.0),
            ("lecun_normal", "he_normal", verdict, by),
            ("mean_field", "lecun_normal", "equivalent", 0.0),
            setting=f"model.depth={depth}",
        )
        for depth, verdict in ((10, deep), (2, shallow))
    ]
    return {"trained.pairs": pd.concat(parts).assign(seeds_needed=50.0)}


@pytest.mark.parametrize(
    ("shallow", "deep", "expected"),
    [
        ("better", "better", "holds"),
        ("equivalent", "better", "holds only where"),
        ("equivalent", "equivalent", "does not hold"),
        ("equivalent", "worse", "does not hold"),
        ("undecided", "better", "undecided"),
    ],
)
def test_the_verdict_follows_the_pairs(shallow: str, deep: str, expected: Answer) -> None:
    assert judge(tables(shallow, deep)).answer == expected


def test_it_says_at_which_depth_and_what_is_open() -> None:
    finding = judge(tables("equivalent", "better"))
    beside = "better than He's (+0.020), but equivalent to Xavier's and equivalent to the edge of chaos"
    assert finding.where == f"the net has 10 layers: there LeCun's weights are {beside}"
    assert (
        "than He's (+0.006), by less than the 0.01 that matters, but"
        in judge(tables("equivalent", "better", 0.006)).where
    )
    everywhere = judge(tables("better", "better")).where
    assert everywhere == f"LeCun's weights are at 2 layers {beside}; at 10 layers {beside}"
    assert "better than He's (+0.020) and equivalent to the edge of chaos" in finding.seen[1]
    assert judge(tables("undecided", "better")).where == (
        "2 layers (He's) is open, and it would probably take 50 networks of each kind"
    )


def test_the_picture_has_a_row_for_each_pair() -> None:
    axes = draw(tables("equivalent", "better")).axes[0]
    assert [text.get_text() for text in axes.texts] == ["equivalent"] * 4 + ["better", "equivalent"]
