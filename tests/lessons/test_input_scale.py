"""Inputs that are not scaled undo a good initialization?"""

import pandas as pd
import pytest

from initlab.lessons.chapter import finding_of
from initlab.lessons.claims.input_scale import SCHEMES, draw
from initlab.lessons.finding import Answer
from initlab.lessons.lesson import read_lesson
from tests.lessons.made import members, pairs


def tables(raw: dict[str, float]) -> dict[str, pd.DataFrame]:
    """Tables in which all schemes come to 0.95 on scaled inputs, and to 0.6 on raw ones if nothing else is given."""
    rows = [
        {"init": init, "data.standardize": scaled, "test_score": 0.95 if scaled else raw.get(init, 0.6)}
        for init in SCHEMES
        for scaled in (True, False)
    ]
    candidates = [
        {"init": row["init"], "data.standardize": row["data.standardize"], "job": f"job{place}", "rate": 0.1}
        | {"at_edge": row["init"] == "lsuv" and row["data.standardize"]}
        | {"setting": f"data.standardize={row['data.standardize']}", "score": row["test_score"]}
        | {"score_low": float(str(row["test_score"])) - 0.02, "score_high": float(str(row["test_score"])) + 0.02}
        for place, row in enumerate(rows)
    ]
    return {
        "trained.members": members(rows),
        "trained.candidates": pd.DataFrame(candidates),
        "trained.pairs": pairs(
            ("data_dependent", "he_normal", "better", raw.get("data_dependent", 0.6) - 0.6),
            setting="data.standardize=False",
        ),
    }


@pytest.mark.parametrize(
    ("raw", "expected", "where"),
    [
        ({}, "holds", "for the schemes that look"),
        ({"lsuv": 0.95, "data_dependent": 0.96}, "holds only where", "the start is He or Xavier"),
        (dict.fromkeys(SCHEMES, 0.95), "does not hold", "as well on raw inputs"),
        ({"lsuv": 0.915}, "undecided", "overlap"),
    ],
)
def test_the_verdict_follows_the_intervals(raw: dict[str, float], expected: Answer, where: str) -> None:
    finding = finding_of(read_lesson("input_scale"), tables(raw), seeds=20)
    assert finding.answer == expected
    assert where in finding.where
    assert f"LSUV 0.950 [0.930, 0.970], and {raw.get('lsuv', 0.6):.3f} [" in finding.seen[0]
    assert "is the best for LSUV on scaled inputs (0.1)" in finding.certainty


def test_the_picture_has_raw_inputs_beside_scaled_ones() -> None:
    axes = draw(tables({})).axes[0]
    assert axes.get_legend_handles_labels()[1] == ["scaled inputs", "raw inputs"]
    assert [text.get_text() for text in axes.get_xticklabels()] == list(SCHEMES.values())
