"""One notebook shows which start is best?"""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from initlab.lessons.claims import tutorial_mnist, tutorial_wine
from initlab.lessons.finding import Answer
from initlab.lessons.notebooks import SCHEMES, judge_notebook, notebook_of
from tests.lessons.made import members, pairs

APART = {"zeros": [0.1, 0.1], "normal": [0.5, 0.6], "xavier_normal": [0.5, 0.6], "he_normal": [0.9, 0.8]}
NEAR = {"zeros": [0.1, 0.1], "normal": [0.5, 0.6], "xavier_normal": [0.5, 0.7], "he_normal": [0.4, 0.7]}


def tables(scores: dict[str, list[float]], verdict: str) -> dict[str, pd.DataFrame]:
    """Tables in which He stands to all others as is said, and these are equivalent."""
    rows = [(a, b, verdict if a == "he_normal" else "equivalent", 0.1) for a, b in combinations(reversed(SCHEMES), 2)]
    made = [{"init": init, "test_score": values} for init, values in scores.items()]
    return {"trained.members": members(made), "trained.pairs": pairs(*rows)}


@pytest.mark.parametrize(
    ("scores", "verdict", "expected"),
    [
        (APART, "better", "holds"),
        (APART, "undecided", "undecided"),
        (NEAR, "better", "does not hold"),
        (NEAR, "equivalent", "does not hold"),
    ],
)
def test_the_verdict_follows_the_draws(scores: dict[str, list[float]], verdict: str, expected: Answer) -> None:
    for lesson in (tutorial_wine, tutorial_mnist):
        finding = lesson.judge(tables(scores, verdict))
        assert finding.answer == expected
        assert f"prints zeros 0.100, normal {scores['normal'][0]:.3f}" in finding.seen[0]
        assert "several share the top: " in finding.seen[2]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("better", "He is better than all others."),
        ("undecided", "He leads; whether it is better than Xavier, normal or zeros is undecided."),
        ("equivalent", "He leads; it is equivalent to Xavier, normal and zeros."),
    ],
)
def test_what_leads_is_said_with_what_it_is_not_better_than(verdict: str, said: str) -> None:
    assert judge_notebook(tables(APART, verdict)).seen[1].endswith(said)


def test_all_draws_are_counted() -> None:
    notebook = notebook_of(tables(NEAR, "better"))
    # Of 8 draws of the three that are not zeros: normal is alone on top in one (.6 beside .5 and .4), Xavier in two
    # (.7 beside .4), He in two (.7 beside .5).
    assert notebook.alone == {"zeros": 0, "normal": 0.125, "Xavier": 0.25, "He": 0.25}
    assert notebook.shared == 0.375
    assert notebook.winners == ["normal", "Xavier"]
    assert notebook.beaten_by("He") == 0.5


def test_the_picture_marks_the_notebook_among_all_networks() -> None:
    (axes,) = tutorial_wine.draw(tables(NEAR, "better")).axes
    assert axes.get_lines()[-1].get_label() == "the notebook"
    assert np.asarray(axes.get_lines()[-1].get_ydata()).tolist() == [0.1, 0.5, 0.5, 0.4]
