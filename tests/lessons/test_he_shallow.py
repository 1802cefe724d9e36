"""He beats Xavier on the shallow nets of tutorials, too?"""

import pandas as pd
import pytest

from initlab.lessons.claims.he_shallow import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs


def tables(*verdicts: str) -> dict[str, pd.DataFrame]:
    """Verdicts of wine at 2 layers and 1, and of digits at 1 and 2: settings come in any order."""
    made = [pairs(("xavier_normal", "he_normal", verdict, -0.02), seeds_needed=50.0) for verdict in verdicts]
    for part, setting in zip(made, (2, 1, 1, 2), strict=True):
        part["setting"], part["seeds_needed"] = f"model.depth={setting}", 50.0
    return {"wine.pairs": pd.concat(made[:2]), "digits.pairs": pd.concat(made[2:])}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("worse",) * 4, "holds"),  # of Xavier
        (("equivalent",) * 4, "does not hold"),
        (("better",) * 4, "does not hold"),
        (("worse", "equivalent", "equivalent", "equivalent"), "holds only where"),
        (("equivalent", "equivalent", "equivalent", "undecided"), "does not hold"),
        (("worse", "equivalent", "equivalent", "undecided"), "undecided"),
        (("undecided",) * 4, "undecided"),
    ],
)
def test_the_verdict_follows_the_pairs(verdicts: tuple[str, ...], expected: Answer) -> None:
    assert judge(tables(*verdicts)).answer == expected


def test_it_says_which_net_and_how_many_networks() -> None:
    only = judge(tables("worse", "equivalent", "equivalent", "equivalent"))
    assert only.where == "the net is that of wine quality (2 layers)"
    assert "+0.020 [+0.010, +0.030] with wine quality (1 layer): equivalent" in only.seen[0]
    none = judge(tables("equivalent", "better", "equivalent", "undecided"))
    assert none.where == (
        "He's weights are called better on none of these nets, but worse with wine quality (1 layer), equivalent with "
        "wine quality (2 layers) and digits (1 layer), undecided with digits (2 layers)"
    )
    still = judge(tables("worse", "equivalent", "undecided", "undecided"))
    assert still.where.endswith("are open, and it would probably take 50 networks of each kind")


def test_the_picture_has_a_row_for_each_net() -> None:
    axes = draw(tables(*["equivalent"] * 4)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][1] == "wine quality (2 layers)"
    assert [text.get_text() for text in axes.texts] == ["equivalent"] * 4
