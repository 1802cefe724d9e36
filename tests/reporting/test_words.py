"""Every sentence is true of the tables, and says no more than they do."""

import numpy as np
import pytest

from initlab.reporting.document import Table
from initlab.reporting.remarks import remarks
from initlab.reporting.scores import leaderboard
from initlab.reporting.words import across_data, answer, condition_words
from initlab.results.analysis import analyse
from initlab.results.study import Study
from tests.results.studies import Cell, inits, study_of

NOISE = np.random.default_rng(0).normal(0, 0.02, (4, 10))


def said(study: Study) -> str:
    return " ".join(answer(analyse(study)))


def test_the_best_and_by_how_much() -> None:
    study = inits(he=0.9 + NOISE[0], zeros=0.1 + NOISE[1])
    (row,) = analyse(study).pairs.to_dict("records")
    (best, _) = analyse(study).candidates.to_dict("records")
    assert said(study) == (
        f"On wine, he is best: test accuracy {best['score']:.3f} [{best['score_low']:.3f}, {best['score_high']:.3f}] "
        f"over 10 seeds. It is better than zeros by {row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}] "
        "(p = 0.002, paired by seed, Holm-corrected over 1 pair)."
    )


def test_a_tie() -> None:
    text = said(inits(he=0.8 + NOISE[0], xavier=0.8 + NOISE[1], zeros=[0.1] * 10))
    assert "ranks first: " in text
    assert "is best" not in text
    assert "It ties with " in text
    assert "no difference was shown" in text
    assert "It is better than zeros by 0.7" in text


def test_the_same_on_every_seed() -> None:
    text = said(inits(zeros=[0.1] * 10, ones=[0.1] * 10))
    assert "ones scored the same on every seed" in text or "zeros scored the same on every seed" in text
    assert "better" not in text


def test_too_few_seeds() -> None:
    text = said(inits(he=[0.9, 0.91, 0.92], zeros=[0.1, 0.1, 0.1]))
    assert (
        "With 3 seeds no difference can be called significant, however large: among 1 pair that takes at least 6"
        in text
    )
    assert "So far it is ahead of zeros by 0.810 [0.785, 0.835]." in text
    assert "is best" not in text
    assert "better" not in text
    assert "nothing to conclude" in said(inits(he=[0.9], zeros=[0.1]))
    assert "[" not in said(inits(he=[0.9], zeros=[0.1]))


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
    assert f"It ties with leaky_relu (counting the 6 of 10 that diverged as 0; {difference}):" in said(study)
    (table,) = leaderboard(analyse(study)).parts
    assert isinstance(table, Table)
    shown = table.shown.set_index("candidate")["diverged as 0"]
    assert shown["leaky_relu ●"] == f"{np.sum(0.95 + NOISE[1][:4]) / 10:.3f}"
    assert "compared by their means with what diverged as 0" in table.caption
    text = said(inits(he=0.7 + NOISE[0], zeros=[*(0.7 + NOISE[1][:8]), np.nan, np.nan]))
    assert "It is better than zeros (counting the 2 of 10 that diverged as 0) by 0.154 [" in text


def test_a_negative_score_counts_as_0_and_that_is_said() -> None:
    cells = [
        Cell({"init.name": init}, values, metric="r2")
        for init, values in {"he": [0.9] * 8, "normal": [-3.0, *[0.2] * 7]}.items()
    ]
    assert "better than normal (counting a negative R² as 0) by 0.7" in said(study_of(*cells))


def test_a_single_candidate() -> None:
    assert said(inits(he=[0.9] * 3)).endswith("there is nothing to compare it with.")


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
    assert "he in 4 of 4, xavier in 2 of 4 and zeros in 0 of 4" in text


def test_with_too_few_seeds_nobody_leads() -> None:
    cells = [
        Cell({"init.name": init, "activation.name": activation}, [score] * 3)
        for activation in ("relu", "tanh")
        for init, score in (("he", 0.9), ("zeros", 0.1))
    ]
    text = said(study_of(*cells))
    assert text.endswith("There are too few seeds to tell any of them from the best.")


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


def test_open_is_not_best_and_where_nobody_learned_nobody_is() -> None:
    few = of_two_activations(5, xavier=0.989, he=0.972, normal=0.389)
    assert said(few) == (
        "3 candidates under 2 conditions (1 data set × 2 settings of activation). Under 1 of 2 conditions no candidate "
        "learned, and they do not count: wine, sigmoid. There are too few seeds to tell any of them from the best."
    )
    enough = of_two_activations(10, xavier=0.989, he=0.972, normal=0.389)
    assert "Best, or not shown to be worse than the best: xavier in 1 of 1, he in 0 of 1 and normal in 0 of 1." in said(
        enough
    )
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


def test_so_many_candidates_that_no_number_of_seeds_suffices() -> None:
    """110 candidates make 5,995 pairs."""
    few = inits(**{f"s{k}": [0.001 * k, 0.001 * k] for k in range(110)})
    assert "among 5995 pairs no number of seeds suffices, but fewer candidates do" in said(few)


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
