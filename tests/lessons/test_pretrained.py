"""A pretrained start beats any random one?"""

import pandas as pd
import pytest

from initlab.data.digit_halves import half
from initlab.lessons.claims.pretrained import NAMES, draw, judge
from initlab.lessons.finding import Answer
from initlab.lessons.lesson import command_of, read_lesson
from tests.lessons.made import members, pairs

FRACTIONS = (0.5, 0.95)


def tables(*verdicts: tuple[str, str]) -> dict[str, pd.DataFrame]:
    """Tables in which pretrained stands at each size to He and to orthogonal as is said."""
    rows = [
        {"init": init, "data.test_fraction": fraction, "test_score": 0.9} for fraction in FRACTIONS for init in NAMES
    ]
    made = members(rows)
    found = [
        pairs(
            ("pretrained", "he_normal", he, 0.1),
            ("pretrained", "orthogonal", orthogonal, 0.1),
            setting=f"data.test_fraction={fraction}",
        )
        for fraction, (he, orthogonal) in zip(FRACTIONS, verdicts, strict=True)
    ]
    return {
        "second.members": made,
        "second.candidates": made[["job"]].drop_duplicates(),
        "second.pairs": pd.concat(found, ignore_index=True),
    }


@pytest.mark.parametrize(
    ("verdicts", "expected", "where"),
    [
        ((("better", "better"), ("better", "better")), "holds", ""),
        ((("equivalent", "better"), ("better", "better")), "holds only where", "has 35 training rows"),
        (
            (("equivalent", "better"), ("undecided", "better")),
            "does not hold",
            "than both random starts; it is equivalent to He with 358 training rows",
        ),
        (
            (("equivalent", "better"), ("undecided", "worse")),
            "does not hold",
            "it is worse than orthogonal with 35 training rows and equivalent to He with 358 training rows",
        ),
        (
            (("equivalent", "equivalent"), ("undecided", "worse")),
            "does not hold",
            "with 358 training rows it is equivalent to both",
        ),
        ((("undecided", "better"), ("undecided", "better")), "undecided", ""),
    ],
)
def test_the_verdict_follows_each_size(verdicts: tuple[tuple[str, str], ...], expected: Answer, where: str) -> None:
    finding = judge(tables(*verdicts))
    assert finding.answer == expected
    assert where in finding.where


def test_the_picture_has_the_sizes_and_starts() -> None:
    (axes,) = draw(tables(("better", "better"), ("better", "better"))).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["35", "358"]
    assert set(axes.get_legend_handles_labels()[1]) == set(NAMES.values())


def test_both_tasks_together_are_all_digits() -> None:
    (pictures, digits), (others, rest) = half(first=True), half(first=False)
    assert pictures.shape[1:] == others.shape[1:] == (1, 8, 8)
    assert len(pictures) + len(others) == 1797
    assert set(digits) == set("01234")
    assert set(rest) == set("56789")


def test_a_path_in_quotes_is_quoted_for_the_shell() -> None:
    assert """'+protocol.pretrained.path="outputs/""" in command_of(read_lesson("pretrained").experiments["second"])
