"""What knowing nothing of the inputs scores stands beside the scores, and decides whether anything learned."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from initlab.base.wording import difference_text
from initlab.figures.curves import learning_curves
from initlab.figures.seeds import seeds_as_dots
from initlab.reporting.recommendation import recommendation_section, recommendation_words
from initlab.reporting.scores import leaderboard
from initlab.reporting.sections import compose_report
from initlab.results.analysis import Analysis, analyse
from initlab.results.baseline import baseline_lines, baseline_under, failure_lines, has_learned
from initlab.results.choice import choose_candidate
from initlab.results.confidence import MARGIN
from tests.helpers import make_job
from tests.results.studies import Cell, study_of

NOISE = np.random.default_rng(0).normal(0, 0.01, (4, 12))
SIMPLE_TWO = ("he", "torch_default")
SIMPLE = {"he", "orthogonal", "torch_default"}


def analysed(baseline: float | None, *, margin: float = MARGIN, **scores: object) -> Analysis:
    metadata = {} if baseline is None else {"baseline": baseline, "validation_baseline": baseline + 0.025}
    cells = [Cell({"init.name": name}, values, metadata=metadata) for name, values in scores.items()]  # type: ignore[arg-type]
    return analyse(study_of(*cells), margin=margin)


def test_what_learned_at_another_rate_is_not_said_to_have_learned_nothing() -> None:
    """A network that cannot learn at a rate of 1e-4 is none that cannot be trained."""
    why = {"baseline": 0.4, "outlook": "hard to train", "reason": "signals die out"}
    scores = {("he", 1e-4): 0.4, ("he", 0.1): 0.8, ("zeros", 1e-4): 0.4, ("zeros", 0.1): 0.4}
    cells = [
        Cell({"init.name": name, "optim.lr": rate}, [score] * 3, metadata=why) for (name, rate), score in scores.items()
    ]
    assert failure_lines(study_of(*cells)) == ["zeros learned nothing: signals die out."]
    assert failure_lines(study_of(*cells[:2])) == []


@pytest.mark.parametrize(
    ("outlook", "rows", "lines"),
    [
        ("trainable", 2112, ["he learned nothing: training took 99 steps only."]),
        ("trainable", 2114, []),
        ("hard to train", 2112, ["he learned nothing: signals die out; training took 99 steps only."]),
        ("hard to train", 2114, ["he learned nothing: signals die out."]),
        ("not trainable", 2112, ["he learned nothing: signals die out."]),  # nor would it in more
        (None, 2112, []),
    ],
)
def test_few_steps_are_a_cause(outlook: str | None, rows: int, lines: list[str]) -> None:
    """Three epochs of 33 or 34 steps; 2,113 rows would make 33, too, as a single row is no step."""
    why = {"baseline": 0.4, "outlook": outlook, "reason": "signals die out", "training_rows": rows}
    assert failure_lines(study_of(Cell({"init.name": "he", "batch_size": 64}, [0.4] * 3, metadata=why))) == lines


@pytest.mark.parametrize(("scores", "nothing"), [([0.42, 0.43, 0.42], False), ([0.44, 0.44, 0.40], True)])
def test_who_is_above_the_baseline_with_every_seed_has_learned_something(scores: list[float], nothing: bool) -> None:
    """As on a text, where a point of accuracy is much; not where one seed has luck."""
    why = {"baseline": 0.4, "outlook": "hard to train", "reason": "signals die out"}
    found = failure_lines(study_of(Cell({"init.name": "he"}, scores, metadata=why)))
    assert bool(found) is nothing


def test_nothing_here_learned_is_an_answer() -> None:
    """A lucky .305 where the commonest class scores .271 recommends nothing."""
    found = analysed(0.271, lsuv=0.305 + NOISE[0], he=0.28 + NOISE[1], orthogonal=0.28 + NOISE[2])
    assert choose_candidate(found, SIMPLE) is None
    (part,) = recommendation_section(found, None, "").parts
    assert part.text.startswith("Nothing here learned: the best, lsuv, has test accuracy 0.3")  # type: ignore[union-attr]
    assert "knowing only the commonest class scores 0.271" in part.text  # type: ignore[union-attr]
    better = analysed(0.271, lsuv=0.405 + NOISE[0], he=0.28 + NOISE[1])
    choice = choose_candidate(better, SIMPLE)
    assert choice is not None
    assert choice.chosen["candidate"] == "lsuv"


@pytest.mark.parametrize(
    ("score", "low", "expected"),
    [
        (0.305, 0.29, False),
        (0.40, 0.26, False),
        (0.40, 0.35, True),
        (0.40, math.nan, True),
        (0.300, 0.29, False),  # 4 % of the way from 0.271 to 1
        (0.312, 0.29, True),  # 5.6 % of it
        (math.nan, math.nan, False),
    ],
)
def test_what_counts_as_learned(score: float, low: float, expected: bool) -> None:
    assert has_learned(pd.Series({"score": score, "score_low": low}), 0.271) == expected
    assert has_learned(pd.Series({"score": score, "score_low": low}), math.nan)  # an old study


def test_among_equals_the_simplest_wins() -> None:
    """What is equivalent to the best is as good, though its mean is more than 1 % below."""
    near = np.linspace(-0.011, 0.011, 12)
    found = analysed(0.1, lsuv=0.5 + near, he=0.493 - near, zeros=0.1 + NOISE[0], margin=0.02)
    assert found.candidates["standing"].tolist() == ["best", "equivalent", "worse"]
    assert found.candidates["test"].iloc[1] < 0.99 * found.candidates["test"].iloc[0]
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    assert choice.chosen["candidate"] == "he"
    assert not choice.indifferent
    text = " ".join(recommendation_words(found, choice))
    assert "Equivalent to it: he." in text
    assert "Of the 2 equivalent to the best, or whose mean is within 1 % of it, he alone only fills weights" in text


def test_what_is_undecided_is_near_only_where_its_mean_is() -> None:
    wide = np.linspace(-0.06, 0.06, 12)
    for lower, near in ((0.49, ("lsuv",)), (0.497, ("lsuv", "he"))):
        found = analysed(0.1, lsuv=0.5 + wide, he=lower + wide[::-1], zeros=0.1 + NOISE[0])
        assert found.candidates["standing"].tolist() == ["best", "undecided", "worse"]
        choice = choose_candidate(found, SIMPLE)
        assert choice is not None
        assert choice.near == near
        text = " ".join(recommendation_words(found, choice))
        assert "lsuv ranks first of the 3 that trained. Undecided beside it: he." in text
        assert ("Of the 2 whose mean is within 1 % of the best, he alone only fills weights" in text) == (len(near) > 1)


def test_how_it_stands_beside_torch_is_said() -> None:
    lower = {0.7: "It is better than torch's own by 0.20", 0.9: "It is equivalent to torch's own: 0.00"}
    for other, words in lower.items():
        found = analysed(0.3, he=0.9 + NOISE[0] / 5, torch_default=other + NOISE[1] / 5 - 1e-4, zeros=[0.3] * 12)
        choice = choose_candidate(found, SIMPLE)
        assert choice is not None
        assert words in " ".join(recommendation_words(found, replace(choice, chosen=found.candidates.iloc[0])))
    found = analysed(0.3, he=0.9 + NOISE[0] * 5, torch_default=0.89 + NOISE[1] * 5)
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    he, torch_default = (found.candidates[found.candidates["candidate"] == name].iloc[0] for name in SIMPLE_TWO)
    text = " ".join(recommendation_words(found, replace(choice, chosen=he)))
    assert "It is undecided whether it is better than torch's own: 0.0" in text
    assert "torch's own:" not in " ".join(recommendation_words(found, replace(choice, chosen=torch_default)))


def test_what_is_worse_than_torch_says_so() -> None:
    found = analysed(0.3, he=0.7 + NOISE[0], torch_default=0.9 + NOISE[1])
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    he = found.candidates[found.candidates["candidate"] == "he"].iloc[0]
    text = " ".join(recommendation_words(found, replace(choice, chosen=he)))
    (row,) = found.pairs.to_dict("records")
    assert row["a"] == "torch_default"
    difference = difference_text(row["difference"], row["low"], row["high"])
    assert "torch_default is better than he." in text
    assert f"It is worse than torch's own by {difference} (p < 0.0001)." in text


def test_what_does_not_show_that_it_learned_is_not_recommended_while_another_does() -> None:
    """The higher mean of few that got lucky: 0.750 [0.000, 1.000] is no evidence, 0.700 of every seed is."""
    found = analysed(0.389, orthogonal=[1.0, 0.97, 0.28], he=[0.7, 0.71, 0.69])
    assert found.candidates["candidate"].tolist() == ["orthogonal", "he"]
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    assert choice.chosen["candidate"] == "he"
    assert choice.near == ("he",)
    text = " ".join(recommendation_words(found, choice))
    assert text.startswith("Use he, at a learning rate of about 0.1: test accuracy 0.700")
    assert "orthogonal has test accuracy 0.750 [0.000, 1.000] over 3 seeds, which is not clearly above" in text


@pytest.mark.parametrize(("best", "end"), [(0.01, "0.01 is the smallest"), (0.1, ""), (1.0, "1 is the largest")])
def test_of_a_single_scheme_the_rate_is_tuned_and_its_place_and_training_are_said(best: float, end: str) -> None:
    cells = [
        Cell(
            {"init.name": "he", "optim.lr": rate, "batch_size": 16, "trainer.max_epochs": 30},
            (0.9 if rate == best else 0.7) + NOISE[0],
            metadata={"baseline": 0.389},
        )
        for rate in (0.01, 0.1, 1.0)
    ]
    found = analyse(study_of(*cells), tune=True)
    assert found.candidates["candidate"].tolist() == ["he"]
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    text = " ".join(recommendation_words(found, choice))
    assert text.startswith(f"Use he, at a learning rate of about {best:g}: test accuracy")
    assert "The learning rate is for the optimizer sgd, batches of 16 and 30 epochs: with others" in text
    beyond = f" {end} learning rate tried: a better one may lie beyond, so try further ones."
    assert text.endswith(beyond) if end else "try further ones" not in text
    assert compose_report(found, "he").sections  # the report of a single candidate
    assert analyse(study_of(*cells)).axes.compared == ("optim.lr",)  # where nobody asked to tune, rates are compared


def test_nothing_is_said_twice() -> None:
    """Of two, that the one is better than the other; of the first among all, that it is the first."""
    found = analysed(0.3, he=0.9 + NOISE[0] / 5, torch_default=0.5 + NOISE[2] / 5)
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    text = " ".join(recommendation_words(found, choice))
    assert "better than torch_default" not in text
    assert text.count("better than") == 1
    near = analysed(0.3, he=0.9 + NOISE[0], orthogonal=0.899 + NOISE[1], torch_default=0.5 + NOISE[2])
    choice = choose_candidate(near, SIMPLE)
    assert choice is not None
    text = " ".join(recommendation_words(near, choice))
    assert text.count("ranks first") == 1


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"loss.name": "auto"}, "batches of 16 and 30 epochs: with"),
        ({"loss.name": "hinge"}, "batches of 16, 30 epochs and the loss hinge: with"),
        ({"loss.name": "auto", "loss.label_smoothing": 0.1}, "and the loss of the task with label smoothing 0.1: with"),
        (
            {"loss.name": "focal", "loss.label_smoothing": 0.1, "loss.class_weights": "balanced"},
            "and the loss focal with label smoothing 0.1 and class weights balanced: with",
        ),
        ({"loss.name": "auto", "loss._target_": "torch.nn.MSELoss"}, "and the loss torch.nn.MSELoss: with"),
    ],
)
def test_a_rate_is_for_its_loss_too(loss: dict[str, object], words: str) -> None:
    config = {"batch_size": 16, "trainer.max_epochs": 30, **loss}
    found = analyse(study_of(Cell({"init.name": "he", **config}, 0.9 + NOISE[0], metadata={"baseline": 0.389})))
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    assert words in " ".join(recommendation_words(found, choice))
    parts = recommendation_section(found, choice, "code", "Here inputs are rows.").parts
    assert [type(part).__name__ for part in parts] == ["Paragraph", "Code", "Paragraph"]


def test_where_all_are_equal_it_does_not_matter() -> None:
    found = analysed(0.3, lsuv=0.9 + NOISE[0] / 5, he=0.9 + NOISE[1] / 5, torch_default=0.9 + NOISE[2] / 5)
    choice = choose_candidate(found, SIMPLE)
    assert choice is not None
    assert choice.chosen["candidate"] == "torch_default"
    text = " ".join(recommendation_words(found, choice))
    assert text.startswith("It does not matter here which of these is used. Keep torch's own initialization")
    assert "each is equivalent to the best." in text
    few = analysed(0.3, lsuv=[0.9, 0.91], he=[0.91, 0.9], torch_default=[0.9, 0.905])
    choice = choose_candidate(few, SIMPLE)
    assert choice is not None
    assert not choice.indifferent  # two seeds could not have shown a difference


def test_each_split_has_a_baseline_of_its_own() -> None:
    data = make_job("data=wine").dataset
    assert (data.baseline, data.validation_baseline) == (14 / 36, 12 / 29)


@pytest.mark.parametrize("baseline", [0.389, None])
def test_it_is_a_line_in_tables_and_figures(baseline: float | None) -> None:
    found = analysed(baseline, he=0.42 + NOISE[0], zeros=0.38 + NOISE[1] / 10)
    (condition,) = found.conditions
    (table,) = leaderboard(found).parts
    names = [name.split(" ")[0] if not name.startswith("(") else name for name in table.shown["candidate"]]  # type: ignore[union-attr]
    figure = learning_curves(found)
    dots, curves = seeds_as_dots(found).axes[0], figure.axes[0]
    said = [text.get_text().strip() for panel in (dots, curves) for text in panel.texts]
    if baseline is None:
        assert math.isnan(baseline_under(found, condition))
        assert names == ["he", "zeros"]
        assert baseline_lines(found.study) == []
        assert "the commonest class" not in said
    else:
        assert names == ["he", "(the commonest class)", "zeros"]
        assert baseline_lines(found.study) == ["wine: Knowing only the commonest class scores 0.389."]
        assert said.count("the commonest class") == 1  # in the other figure the legend has it, clear of all curves
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["he", "zeros", "the commonest class"]
        levels = [
            np.asarray(line.get_ydata()) for line in curves.get_lines() if line.get_label() == "the commonest class"
        ]
        np.testing.assert_allclose(levels, [[0.414, 0.414]])  # of the validation rows, whose scores are drawn
        assert any(np.allclose(line.get_xdata(), 0.389) for line in dots.get_lines())
