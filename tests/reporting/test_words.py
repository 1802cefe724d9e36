"""Every sentence is true of the tables, and says no more than they do."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from initlab.base.wording import difference_text, interval_text, roughly, settled
from initlab.initializers import list_initializers
from initlab.reporting.document import Paragraph, Table
from initlab.reporting.remarks import DRAW_NOTHING, method, remarks
from initlab.reporting.scores import leaderboard, pairs_section
from initlab.reporting.sections import compose_report
from initlab.reporting.words import across_data, answer, condition_words
from initlab.results.analysis import analyse
from initlab.results.study import Study
from tests.results.studies import Cell, cell_by_row, inits, study_of

WINE = ("wine", "accuracy", "")
NOISE = np.random.default_rng(0).normal(0, 0.02, (4, 10))
SPLITS = np.stack([np.random.default_rng(seed).permutation(120)[:40] for seed in range(10)])


def difference_of(pair: pd.Series) -> str:
    return difference_text(pair["difference"], pair["low"], pair["high"])


def said(study: Study) -> str:
    return " ".join(answer(analyse(study)))


def test_a_mean_is_rounded_alike_however_it_was_summed() -> None:
    """2871 of 3600 rows are halfway between .797 and .798: as one division, or as a sum of ten seeds'."""
    assert interval_text(2871 / 3600) == interval_text(0.7975000000000001) == "0.797"
    assert difference_text(0.0225, 0.0125, 0.0325) == difference_text(0.0225 + 1e-17, 0.0125 + 2e-18, 0.0325 - 7e-18)
    assert settled(1 / 3) == pytest.approx(1 / 3, rel=1e-11)


def test_too_few_seeds_are_named_where_something_is_compared() -> None:
    few, many = [0.7, 0.8, 0.75], [0.8, 0.81, 0.79, 0.82, 0.8]
    cells = [Cell({"init.name": "he"}, few), Cell({"init.name": "lsuv"}, many)]
    words = "Too few seeds to tell how much they scatter, in 1 of 2 cases: he on wine (3). 10 tell more."
    assert words in remarks(analyse(study_of(*cells)))
    for others in (cells[:1], [cells[1], Cell({"init.name": "zeros"}, many)]):
        assert not [line for line in remarks(analyse(study_of(*others))) if "Too few" in line]


def test_the_best_and_by_how_much() -> None:
    study = inits(he=0.9 + NOISE[0], zeros=0.1 + NOISE[1])
    (row,) = analyse(study).pairs.to_dict("records")
    (best, _) = analyse(study).candidates.to_dict("records")
    assert said(study) == (
        f"On wine, he is best: test accuracy {best['score']:.3f} [{best['score_low']:.3f}, {best['score_high']:.3f}] "
        f"over 10 seeds. It is better than zeros by {row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}] "
        "(p < 0.0001). Intervals are for other seeds on these very test rows, whose results were not kept by row."
    )


def test_undecided_is_no_answer_and_what_would_give_one_is_said() -> None:
    study = inits(he=0.8 + NOISE[0], xavier=0.8 + NOISE[1], zeros=[0.1] * 10)
    pairs = analyse(study).pairs
    better, open_ = (pairs[(pairs["a"] == "he") & (pairs["b"] == other)].iloc[0] for other in ("zeros", "xavier"))
    needed = int(open_["seeds_needed"])
    assert (
        f" over 10 seeds. It is better than zeros by {difference_of(better)} (p < 0.0001, corrected for 3 "
        f"pairs). Undecided between it and xavier ({difference_of(open_)}). About {needed} seeds would "
        "probably decide it. Intervals are"
    ) in said(study)
    assert said(study).startswith("On wine, he ranks first: ")
    assert "is best" not in said(study)
    brief = condition_words(analyse(study), WINE, brief=True)
    assert brief.endswith("It is better than zeros (p < 0.0001). Undecided between it and xavier.")


def test_several_undecided_take_the_most_seeds_of_them() -> None:
    study = inits(he=0.8 + NOISE[0], xavier=0.8 + NOISE[1], lecun=0.795 + NOISE[2])
    pairs = analyse(study).pairs
    of_best = pairs[pairs["a"] == pairs["a"].iloc[0]]
    assert set(of_best["verdict"]) == {"undecided"}
    first, second = (f"{row['b']} ({difference_of(row)})" for _, row in of_best.iterrows())
    needed = roughly(of_best["seeds_needed"].max())
    assert f"Undecided between it and {first} and {second}. About {needed} seeds would probably decide them." in said(
        study
    )


def test_equivalent() -> None:
    study = inits(zeros=[0.1] * 10, ones=[0.1] * 10)
    text = said(study)
    assert text.startswith(
        "On wine, zeros ranks first: test accuracy 0.100 [0.100, 0.100] over 10 seeds. It is equivalent to ones "
        "(0.0000 [0.0000, 0.0000]): less than 0.01 apart. "
    )
    assert "better" not in text
    wide = analyse(inits(he=0.8 + NOISE[0], xavier=0.8 + NOISE[1], lecun=0.8 + NOISE[2]), margin=0.2)
    assert "It is equivalent to " in condition_words(wide, WINE)
    assert condition_words(wide, WINE, brief=True).endswith("less than 0.2 apart.")
    assert " and " in condition_words(wide, WINE, brief=True)


def test_all_verdicts_at_once() -> None:
    study = inits(
        he=0.8 + NOISE[0], kaiming=0.8 + NOISE[0], xavier=0.8 + NOISE[1], zeros=[0.1] * 10, ones=0.1 + NOISE[2] / 9
    )
    text = condition_words(analyse(study), WINE)
    places = [
        text.index(words) for words in ("It is better than ", "It is equivalent to kaiming (0.0000 [", "Undecided")
    ]
    assert places == sorted(places)
    assert "Undecided between it and xavier (" in text
    assert "(largest p < 0.0001, corrected for 10 pairs)" in text


def test_nothing_is_said_of_verdicts_that_nobody_has() -> None:
    assert "Undecided" not in said(inits(he=0.9 + NOISE[0], zeros=0.1 + NOISE[1]))
    assert "equivalent" not in said(inits(he=0.9 + NOISE[0], zeros=0.1 + NOISE[1]))


def test_where_only_more_rows_decide_it_is_said() -> None:
    """All networks get all of 60 rows right, and differ in their losses."""
    study = study_of(*(cell_by_row({"init.name": name}, np.ones((10, 60))) for name in ("he", "xavier", "zeros")))
    study = replace(study, members=study.members.assign(test_loss=np.linspace(0, 1, 30)))
    assert "For them no number of seeds would do: that takes more test rows." in said(study)
    (_, table) = pairs_section(analyse(study)).parts  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert set(table.shown["seeds to decide"]) == {"more rows"}


def test_where_very_many_seeds_decide_that_is_said() -> None:
    wide = np.tile([0.0, 1.0, 1.0, 0.0, 0.5], 4)
    study = inits(he=wide, xavier=wide[::-1] - 0.001 * np.arange(20))
    found = analyse(study)
    assert set(found.pairs["seeds_needed"]) == {np.inf}
    assert "More than 10,000 seeds would be needed to decide it." in said(study)
    (_, table) = pairs_section(found).parts  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert set(table.shown["seeds to decide"]) == {"> 10,000"}


def test_few_seeds() -> None:
    text = said(inits(he=[0.9, 0.91, 0.92], zeros=[0.1, 0.1, 0.1]))
    assert "he is best: test accuracy 0.910 [0.885, 0.935] over 3 seeds. It is better than zeros by 0.810 [" in text
    assert "nothing to conclude" in said(inits(he=[0.9], zeros=[0.1]))
    assert "[" not in said(inits(he=[0.9], zeros=[0.1]))
    assert "Intervals" not in said(inits(he=[0.9], zeros=[0.1]))
    alike = said(inits(he=[0.9, 0.9], zeros=[0.1, 0.1]))
    assert "Undecided between it and zeros (0.800)." in alike
    assert "[" not in alike


@pytest.mark.parametrize(
    ("rows", "covers"),
    [
        (None, "for other seeds and other test rows; the training rows stay."),
        (np.tile(np.arange(40), (10, 1)), "for other seeds and other test rows; the training rows stay."),
        (SPLITS, "for other seeds, splits and rows: a seed draws weights, order and split."),
    ],
)
def test_what_the_intervals_cover(rows: NDArray[np.int64] | None, covers: str) -> None:
    rng = np.random.default_rng(0)
    places = np.tile(np.arange(40), (10, 1)) if rows is None else rows
    scores = [(rng.random((10, 40)) < power * (1 - places / 200)).astype(float) for power in (0.9, 0.8)]
    study = study_of(
        *(cell_by_row({"init.name": name}, one, rows=rows) for name, one in zip(("he", "xavier"), scores, strict=True))
    )
    found = analyse(study)
    median = found.candidates["share_of_rows"].median()
    assert said(study).endswith(
        f"Intervals are {covers} Of the variance of a mean, rows make {100 * median:.0f} % (median), seeds the rest."
    )
    alone = study_of(cell_by_row({"init.name": "he"}, scores[0], rows=rows))
    share = analyse(alone).candidates["share_of_rows"].iloc[0]
    assert said(alone).endswith(
        f"Intervals are {covers} Of the variance of a mean, rows make {100 * share:.0f} %, seeds the rest."
    )


def test_what_intervals_of_different_data_cover() -> None:
    scores = np.random.default_rng(0).random((10, 40)).round()
    cells = [
        cell_by_row({"init.name": name, "data.name": "mnist"}, scores * (np.arange(40) % k > 0))
        for k, name in ((5, "he"), (2, "xavier"))
    ]
    cells += [Cell({"init.name": name, "data.name": "wine"}, 0.5 + NOISE[0]) for name in ("he", "xavier")]
    text = said(study_of(*cells))
    assert "Intervals on mnist are for other seeds and other test rows" in text
    assert "Intervals on wine are for other seeds on these very test rows" in text


def test_all_diverged() -> None:
    nan = np.nan
    assert said(inits(he=[nan] * 3, zeros=[nan] * 3)) == "On wine, every network diverged: there is nothing to compare."


def test_some_diverged() -> None:
    study = inits(he=[*(0.9 + NOISE[0][:8]), np.nan, np.nan], zeros=[0.1] * 10)
    assert "over the 8 of 10 seeds that did not diverge" in said(study)
    assert any(line.startswith("2 of 20 networks diverged; they count as score 0") for line in remarks(analyse(study)))


def test_what_counts_as_0_is_said_where_it_is_compared() -> None:
    """That survivors have the better mean makes no candidate better: sentences and tables say what is compared."""
    study = inits(relu=0.7 + NOISE[0], leaky_relu=[*(0.95 + NOISE[1][:4]), *[np.nan] * 6])
    (row,) = analyse(study).pairs.to_dict("records")
    difference = f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
    assert f"Undecided between it and leaky_relu (counting the 6 of 10 that diverged as 0; {difference})." in said(
        study
    )
    (table,) = leaderboard(analyse(study)).parts
    assert isinstance(table, Table)
    shown = table.shown.set_index("candidate")["diverged as 0"]
    assert shown["leaky_relu ○"] == f"{np.sum(0.95 + NOISE[1][:4]) / 10:.3f}"
    assert "compared by their means with what diverged as 0" in table.caption
    text = said(inits(he=0.9 + NOISE[0], zeros=[*(0.7 + NOISE[1][:8]), np.nan, np.nan]))
    assert "It is better than zeros (counting the 2 of 10 that diverged as 0) by 0.354 [" in text


def test_a_negative_score_counts_as_0_and_that_is_said() -> None:
    cells = [
        Cell({"init.name": init}, values, metric="r2")
        for init, values in {"he": [0.9] * 8, "normal": [-3.0, *[0.2] * 7]}.items()
    ]
    assert "better than normal (counting a negative R² as 0) by 0.7" in said(study_of(*cells))


def test_a_single_candidate() -> None:
    assert "; there is nothing to compare it with." in said(inits(he=0.9 + NOISE[0]))


def test_several_conditions_are_counted() -> None:
    cells = [
        Cell({"data.name": data, "init.name": init, "activation.name": activation}, score + NOISE[k])
        for data in ("wine", "digits")
        for activation in ("relu", "tanh")
        for k, (init, score) in enumerate(
            {"he": 0.9, "xavier": 0.9 if activation == "tanh" else 0.5, "zeros": 0.1}.items()
        )
    ]
    text = said(study_of(*cells))
    assert text.startswith("3 candidates under 4 conditions (2 data sets × 2 settings of activation).")
    assert "First, or equivalent to the first: he in 4 of 4, xavier in 0 of 4 and zeros in 0 of 4. " in text
    assert "Undecided, beside the first: xavier in 2. " in text


def test_where_all_is_undecided_nobody_leads() -> None:
    cells = [
        Cell({"init.name": init, "activation.name": activation}, [score] * 3)
        for activation in ("relu", "tanh")
        for init, score in (("he", 0.9), ("zeros", 0.1))
    ]
    text = said(study_of(*cells))
    assert text.endswith("It is undecided which of them is best anywhere.")


def data_sets(count: int, **scores: float) -> Study:
    return study_of(
        *(
            Cell({"data.name": f"data{d}", "init.name": init}, [score, score])
            for d in range(count)
            for init, score in scores.items()
        )
    )


def of_two_activations(seeds: int, **tanh: float) -> Study:
    """Under sigmoid nothing learns, and under tanh what is given scores that."""
    cells = [
        Cell(
            {"init.name": init, "activation.name": activation},
            [(score if activation == "tanh" else 0.389) + 0.001 * (k % 2) for k in range(seeds)],
            metadata={"baseline": 0.389},
        )
        for activation in ("sigmoid", "tanh")
        for init, score in tanh.items()
    ]
    return study_of(*cells)


def test_undecided_is_not_best_and_where_nobody_learned_nobody_is() -> None:
    few = of_two_activations(2, xavier=0.989, he=0.972, normal=0.389)
    few = replace(few, members=few.members.assign(test_score=few.members["test_score"] + 0.1 * few.members["member"]))
    assert said(few).startswith(
        "3 candidates under 2 conditions (1 data set × 2 settings of activation). Under 1 of 2 conditions no candidate "
        "learned, and they do not count: wine, sigmoid. It is undecided which of them is best anywhere."
    )
    enough = of_two_activations(10, xavier=0.989, he=0.972, normal=0.389)
    assert "First, or equivalent to the first: xavier in 1 of 1, he in 0 of 1 and normal in 0 of 1." in said(enough)
    text = condition_words(analyse(enough), ("wine", "accuracy", "sigmoid"))
    assert "No candidate is clearly above the commonest class, which scores 0.389." in text
    assert "is best" not in text


def test_the_leaderboard_marks_only_what_learned() -> None:
    (table,) = leaderboard(analyse(of_two_activations(10, xavier=0.989, he=0.389))).parts
    assert isinstance(table, Table)
    named = dict(
        zip(
            zip(table.shown["setting"], table.shown["candidate"].str[:3], strict=True),
            table.shown["candidate"],
            strict=True,
        )
    )
    assert named[("tanh", "xav")] == "xavier ●"
    assert named[("sigmoid", "xav")] == "xavier"
    assert named[("sigmoid", "he")] == "he"
    assert "clearly above what knowing nothing of the inputs scores" in table.caption
    assert list(table.shown)[:3] == ["setting", "candidate", "test accuracy"]  # the score in sight in a narrow window


def test_few_data_sets_show_nothing_and_it_says_so() -> None:
    text = across_data(analyse(data_sets(2, he=0.9, xavier=0.5, zeros=0.1)))
    assert "So few data sets could not tell any two apart" in text
    assert "at least 3 data sets" in text
    assert "are not shown to differ" in text


def test_many_data_sets_tell_apart() -> None:
    text = across_data(analyse(data_sets(8, he=0.9, xavier=0.5, zeros=0.1)))
    assert "mean ranks go from 1.00 (he) to 3.00 (zeros)" in text
    assert "they differ (p = 0.000" in text or "they differ (p < " in text
    assert "Nemenyi's test he ranks before zeros." in text  # xavier is 1 behind, the critical difference 1.17


def test_a_learning_rate_at_the_edge_is_said() -> None:
    cells = [
        Cell({"init.name": init, "optim.lr": rate}, [score * rate] * 2)
        for init, score in (("he", 0.9), ("zeros", 0.1))
        for rate in (0.01, 0.1, 1.0)
    ]
    (line,) = [line for line in remarks(analyse(study_of(*cells))) if "learning rate" in line]
    assert "in 2 of 2 cases: he on wine (1) and zeros on wine (1)" in line


@pytest.mark.parametrize(
    ("optimizer", "rates", "said_so"),
    [("adam", (0.01, 0.1), True), ("sgd", (0.01, 0.1), False), ("adam", (0.001, 0.01), False)],
)
def test_one_grid_for_different_optimizers_is_said(optimizer: str, rates: tuple[float, ...], said_so: bool) -> None:
    cells = [
        Cell({"data.name": data, "init.name": init, "optim": {"name": name, "lr": rate}}, [0.5 + rate] * 2)
        for data, name, grid in (("wine", "sgd", (0.01, 0.1)), ("digits", optimizer, rates))
        for init in ("he", "zeros")
        for rate in grid
    ]
    found = [line for line in remarks(analyse(study_of(*cells))) if "trains by" in line]
    assert bool(found) == said_so
    assert all(line.startswith("wine trains by sgd and digits trains by adam, at the same learning") for line in found)


def by_steps(baseline: float | None = 0.0, **scores: Mapping[int, float]) -> Study:
    """A study of sequences of several lengths, by initializer and length."""
    return study_of(
        *(
            Cell(
                {"init.name": init, "data.steps": steps},
                [score - 0.02, score, score + 0.02],
                metric="r2",
                checksum=f"{steps}" * 4,
                metadata={} if baseline is None else {"baseline": baseline},
            )
            for init, by_length in scores.items()
            for steps, score in by_length.items()
        )
    )


def test_how_far_along_an_axis_candidates_learned() -> None:
    """By size, not as text; and what is hardly above the mean has not learned."""
    study = by_steps(
        far={100: 0.9, 25: 0.9, 50: 0.9},
        near={100: 0.04, 25: 0.9, 50: 0.8},
        nearer={100: 0.0, 25: 0.9, 50: 0.0},
        never={100: 0.0, 25: 0.0, 50: 0.0},
        nowhere={100: -0.01, 25: -0.01, 50: -0.01},
        late={100: 0.9, 25: 0.0, 50: 0.9},
        ends={100: 0.9, 25: 0.9, 50: 0.0},
    )
    (sentence,) = [text for text in answer(analyse(study)) if text.startswith("Clearly")]
    start, _, rest = sentence.removesuffix(".").partition(": ")
    assert start == "Clearly above the mean on wine"
    assert set(rest.split("; ")) == {
        "far at every data.steps",
        "near up to data.steps=50",
        "nearer at data.steps=25",
        "never and nowhere at no data.steps",
        "late from data.steps=50 on",
        "ends at data.steps=25 and 100",
    }
    report = compose_report(analyse(study), "steps")
    (section,) = [section for section in report.sections if section.title == "Score against data.steps"]
    assert section.parts[0] == Paragraph(sentence)


@pytest.mark.parametrize(
    "study",
    [
        by_steps(far={25: 0.9, 50: 0.8}, near={25: 0.8, 50: 0.7}),  # all learned
        by_steps(far={25: 0.0, 50: 0.0}, near={25: 0.0, 50: 0.01}),  # none did
        by_steps(None, far={25: 0.9, 50: 0.8}, near={25: 0.8, 50: 0.0}),  # the baseline is not known
    ],
)
def test_nothing_is_said_of_an_axis_along_which_nobody_differs(study: Study) -> None:
    assert "Clearly above" not in said(study)


def test_one_seed_or_scatter_around_the_baseline_shows_no_learning() -> None:
    cells = [
        Cell({"init.name": init, "data.steps": steps}, [score], metric="r2", metadata={"baseline": 0.0})
        for init, steps, score in (("a", 25, 0.9), ("a", 50, 0.9), ("b", 25, 0.9), ("b", 50, 0.0))
    ]
    assert "Clearly above" not in said(study_of(*cells))
    scattered = Cell({"init.name": "b", "data.steps": 50}, [0.0, 0.9, 0.0], metric="r2", metadata={"baseline": 0.0})
    more = [replace(cell, scores=[0.88, 0.9, 0.92]) for cell in cells[:3]]
    assert "Clearly above the mean on wine: a at every data.steps; b at data.steps=25." in said(
        study_of(*more, scattered)
    )


def test_what_does_not_compare_is_said() -> None:
    study = study_of(Cell({}, [0.5, 0.6]), Cell({"data.name": "teacher"}, [0.5, 0.6], metric="r2"))
    assert "Their scores do not compare, and are kept apart: wine (accuracy) and teacher (R²)." in remarks(
        analyse(study)
    )
    cells = [Cell({"init.name": f"s{k}"}, [0.5, 0.6], checksum=f"{k}" * 8) for k in range(2)]
    (line,) = [line for line in remarks(analyse(study_of(*cells))) if "kept apart" in line]
    assert line == "Data sets of one name have different rows, and are kept apart: wine (000000) and wine (111111)."
    assert "there is nothing to compare within any of them" in said(study_of(*cells))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"validates_on_test": True}, "On wine the validation rows are the test rows."),
        ({"device": "NVIDIA H100"}, "different devices: NVIDIA H100 and cpu."),
        ({"commit": "ffff"}, "different commits of initlab: 0123456789ab and ffff."),
        ({"versions": {"torch": "9"}}, "different versions of the libraries"),
    ],
)
def test_how_it_ran_is_said(metadata: dict[str, object], words: str) -> None:
    study = study_of(Cell({"init.name": "he"}, [0.5], metadata=metadata), Cell({"init.name": "zeros"}, [0.5]))
    assert any(words in line for line in remarks(analyse(study)))


def test_every_seed_the_same_is_said_in_spite_of_rounding() -> None:
    study = inits(he=[0.97222222] * 10, zeros=0.5 + NOISE[0])
    assert "Every seed has the very same score: he on wine (0.972)." in remarks(analyse(study))


def test_seeds_that_start_from_the_same_weights_are_said() -> None:
    said = (
        "sinusoidal and identity draw no weights: all seeds start from the same ones, and differ by the order of the "
        "data, by the split, and by what else of a network is drawn."
    )
    study = inits(he=0.9 + NOISE[0], sinusoidal=0.5 + NOISE[1], identity=0.4 + NOISE[2])
    assert remarks(analyse(study)) == [said]
    assert {name for name, scheme in list_initializers().items() if not scheme.random} == DRAW_NOTHING


def test_seeds_are_said_to_draw_what_they_draw() -> None:
    places = np.tile(np.arange(40), (10, 1))
    scores = (np.random.default_rng(0).random((10, 40)) < 0.8).astype(float)
    for names, drawn in ((("identity", "ones"), ""), (("identity", "he"), "weights, ")):
        cells = [cell_by_row({"init.name": name}, scores, rows=places + np.arange(10)[:, None]) for name in names]
        assert f"a seed draws {drawn}order and split." in said(study_of(*cells))
        article = "the weights, " if drawn else ""
        assert f"A seed draws {article}the order of the data, and" in method(analyse(study_of(*cells)))[0]


def test_a_clean_study_needs_no_remark() -> None:
    assert remarks(analyse(inits(he=0.9 + NOISE[0], zeros=0.1 + NOISE[1]))) == []


def test_differences_to_worse_seeds_are_said() -> None:
    """The best by its mean may be worse on the seeds that both have."""
    cells = [Cell({"init.name": "he"}, [0.5] * 10 + [1.0] * 30), Cell({"init.name": "xavier"}, [0.6] * 10)]
    text = condition_words(analyse(study_of(*cells)), ("wine", "accuracy", ""))
    assert "On the seeds that both have, it is worse than xavier." in text


def test_a_rank_by_what_counts_is_not_called_a_mean_of_survivors() -> None:
    text = said(inits(sure=[0.6] * 10, lucky=[0.99] * 4 + [np.nan] * 6))
    assert text.startswith("On wine, sure ranks first: test accuracy 0.600")
    text = said(inits(he=[0.9] * 9 + [np.nan], zeros=[0.1] * 10))
    assert (
        "over the 9 of 10 seeds that did not diverge (mean 0.810 of all, with what diverged or is negative as 0)"
        in text
    )


def test_no_seed_in_common() -> None:
    text = said(study_of(Cell({"init.name": "he"}, [0.9] * 8), Cell({"init.name": "late"}, [0.1] * 8, first_seed=50)))
    assert "It shares no seed with late, and is not compared." in text
    assert "0 seeds" not in text


def test_nothing_learned_anywhere() -> None:
    cells = [
        Cell({"init.name": init, "activation.name": activation}, [np.nan] * 8)
        for init in ("he", "zeros")
        for activation in ("relu", "tanh")
    ]
    text = said(study_of(*cells))
    assert text.startswith(
        "2 candidates under 2 conditions (1 data set × 2 settings of activation). None of them scores"
    )
    assert "too few seeds" not in text


def test_conditions_are_a_product_only_where_they_are() -> None:
    cells = [
        Cell({"data.name": data, "init.name": init, "activation.name": activation}, [score] * 8)
        for data, activations in (("wine", ("relu", "tanh", "gelu")), ("digits", ("relu",)))
        for activation in activations
        for init, score in (("he", 0.9), ("zeros", 0.1))
    ]
    assert said(study_of(*cells)).startswith("2 candidates under 4 conditions. ")
