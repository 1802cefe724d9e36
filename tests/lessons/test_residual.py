"""Skip connections make deep networks trainable, whatever they start from?"""

from typing import Any

import pandas as pd
import pytest

from initlab.lessons.chapter import finding_of
from initlab.lessons.claims.residual import draw, judge
from initlab.lessons.finding import Answer
from initlab.lessons.lesson import read_lesson
from tests.lessons.made import members

NAN = float("nan")


def tables(plain: float, zeros: float, he: float, large: float) -> dict[str, pd.DataFrame]:
    kinds: dict[str, list[dict[str, Any]]] = {
        "plain": [{"init": "zeros", "test_score": 0.1}, {"init": "he_normal", "test_score": plain}],
        "plain_large": [{"init": "normal", "test_score": NAN}],
        "residual": [{"init": "zeros", "test_score": zeros}, {"init": "he_normal", "test_score": he}],
        "residual_large": [{"init": "normal", "test_score": large}],
    }
    made = {f"{key}.members": members(rows).assign(epochs=10) for key, rows in kinds.items()}
    for key, rows in kinds.items():
        chosen = [
            {
                "job": f"job{place}",
                "init": row["init"],
                "seeds": 10,
                "rate": 0.1,
                "at_edge": row["test_score"] == 0.9,
                "diverged": 10 * (row["test_score"] != row["test_score"]),
            }
            | {"score_low": row["test_score"] - 0.02, "score_high": row["test_score"] + 0.02}
            for place, row in enumerate(rows)
        ]
        made[f"{key}.candidates"] = pd.DataFrame(chosen)
    return made


@pytest.mark.parametrize(
    ("scores", "expected", "where"),
    [
        ((0.3, 0.9, 0.9, 0.9), "holds", ""),
        (
            (0.3, 0.1, 0.9, NAN),
            "holds only where",
            "the start is He; from zeros and large (σ = 0.4) networks stay below 0.85 within 10 epochs even with skip",
        ),
        ((0.3, 0.1, 0.3, 0.1), "does not hold", "no start is trainable"),
        ((0.3, 0.1, 0.9, 0.85), "undecided", "too close"),
        ((0.9, 0.1, 0.9, 0.1), "undecided", "train as well"),
    ],
)
def test_the_verdict_follows_the_intervals(
    scores: tuple[float, float, float, float], expected: Answer, where: str
) -> None:
    finding = judge(tables(*scores))
    assert finding.answer == expected
    assert where in finding.where


def test_means_and_rates_are_said() -> None:
    finding = finding_of(read_lesson("residual"), tables(0.3, 0.1, 0.9, NAN))
    assert finding.seen[1].endswith("the mean is 0.10 from zeros and 0.00 (all diverged) from large (σ = 0.4).")
    assert "is the best for He with skip connections (0.1); beyond it" in finding.certainty


def test_the_picture_has_plain_networks_beside_those_that_skip() -> None:
    axes = draw(tables(0.3, 0.1, 0.9, 0.2)).axes[0]
    assert axes.get_legend_handles_labels()[1] == ["plain", "with skip connections"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["zeros", "He", "large (σ = 0.4)"]
