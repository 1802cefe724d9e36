"""Which initialization is best depends on the task?"""

from itertools import combinations

import pandas as pd
import pytest

from initlab.lessons.claims.task import SCHEMES, draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import members, pairs

TASKS = ("wine", "digits")


def tables(best: tuple[str, str], rest: str = "equivalent") -> dict[str, pd.DataFrame]:
    """Tables in which one scheme is better than all others on a task, and the others stand to each other alike."""
    found = []
    for task, winner in zip(TASKS, best, strict=True):
        rows = [
            (a, b, {a: "better", b: "worse"}.get(winner, rest) if winner in (a, b) else rest, 0.1)
            for a, b in combinations(SCHEMES, 2)
        ]
        found.append(pairs(*rows, data=task))
    standing = [
        {"name": task, "candidate": name, "score": 0.9, "standing": "best" if name == winner else "worse"}
        for task, winner in zip(TASKS, best, strict=True)
        for name in SCHEMES
    ]
    made = {"pairs": found, "candidates": [pd.DataFrame(standing[:6]), pd.DataFrame(standing[6:])]}
    made["members"] = [members([{"test_score": 0.9}])] * 2
    return {f"{key}.{name}": parts[at] for name, parts in made.items() for at, key in enumerate(("wines", "others"))}


@pytest.mark.parametrize(
    ("best", "rest", "expected", "where"),
    [
        (("he_normal", "lecun_normal"), "equivalent", "holds", ""),
        (("he_normal", "he_normal"), "equivalent", "does not hold", "He is best or equivalent to the best on all 2"),
        (("", ""), "equivalent", "does not hold", "normal (σ = 0.05), Xavier, He"),
        (("", ""), "undecided", "undecided", "no scheme is better than normal"),
    ],
)
def test_the_verdict_follows_who_is_beaten_where(
    best: tuple[str, str], rest: str, expected: Answer, where: str
) -> None:
    finding = judge(tables(best, rest))
    assert finding.answer == expected
    assert where in finding.where


def test_a_pair_that_turns_round_is_no_best_scheme_that_changes() -> None:
    made = tables(("", ""), "undecided")
    for key, verdict, difference in (("wines", "better", 0.1), ("others", "worse", -0.1)):  # of normal, beside Xavier
        made[f"{key}.pairs"].loc[0, ["verdict", "difference"]] = verdict, difference
    finding = judge(made)
    assert finding.answer == "holds only where"
    assert finding.where.startswith(
        "one chooses among normal (σ = 0.05) and Xavier: which of two of them is better can"
    )
    assert finding.where.endswith("depend on the task. But He, LeCun, orthogonal and PyTorch's are beaten on none")
    words = "normal (σ = 0.05) is better than Xavier on wine (+0.100), and worse on digits (-0.100)"
    assert finding.seen[-1] == f"Pairs that turn round: {words}."
    assert finding.seen[0].endswith("one is better, of 15 on each task: digits 1, wine 1.")
    made["others.pairs"].loc[0, "difference"] = -0.004
    assert "depend on the task (but by less than 0.01 on one of the two tasks)." in judge(made).where


def test_the_picture_has_a_cell_for_each_scheme_and_task() -> None:
    axes = draw(tables(("he_normal", "he_normal"))).axes[0]
    assert [text.get_text() for text in axes.texts].count("0.900\nbest") == 2
    assert len(axes.patches) == 12
