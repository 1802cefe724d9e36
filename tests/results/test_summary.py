"""One row a job: what is shown, and in which order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from initlab.base.errors import UserError
from initlab.base.wording import interval_text, shortest
from initlab.cli.tables import summary_table
from initlab.results.analysis import analyse
from initlab.results.differences import differing_keys, flat_config
from initlab.results.study import Study, read_study
from initlab.results.summary import summarize
from tests.results.studies import Cell, study_of


def config(**changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "data.name": "wine", "model.name": "mlp", "model.hidden": "[64]", "optim.name": "sgd", "optim.lr": 0.1,
        "activation.name": "relu", "init.name": "he_normal", "init.gain": 2**0.5, "seeds": 10, "output_dir": "outputs",
    }  # fmt: skip
    return base | {key.replace("__", "."): value for key, value in changes.items()}


def test_names_explain_what_comes_with_them() -> None:
    jobs = {"a": config(), "b": config(init__name="xavier_normal", init__gain=1.0)}
    assert differing_keys(jobs).to_dict("list") == {"init": ["he_normal", "xavier_normal"]}


def test_a_study_without_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the study has no results"):
        analyse(read_study(tmp_path))


def test_a_data_set_explains_its_recipe() -> None:
    digits = {"data__name": "digits", "model__name": "cnn", "optim__name": "adam", "optim__lr": 0.001}
    jobs = {
        "a": config(),
        "b": config(**digits),
        "c": config(init__name="zeros"),
        "d": config(**digits, init__name="zeros"),
    }
    assert list(differing_keys(jobs)) == ["data", "init"]


def test_parameters_show_where_names_agree() -> None:
    jobs = {"a": config(), "b": config(optim__lr=0.2), "c": config(init__name="zeros")}
    assert list(differing_keys(jobs)) == ["init", "optim.lr"]
    assert list(differing_keys({"a": config(), "b": config(seeds=5, output_dir="x")})) == ["init"]


def test_a_confounder_shows() -> None:
    jobs = {
        "a": config(init__name="xavier_normal", init__gain=1.0, optim__lr=0.001),
        "b": config(init__name="normal", optim__lr=0.5),
    }
    assert list(differing_keys(jobs)) == ["init", "optim.lr"]


def test_numbers_are_short_and_exact() -> None:
    assert [shortest(value) for value in (0.05, 1e6, 0.1234567, 3, "he")] == ["0.05", "1e+06", "0.1234567", "3", "he"]


def test_null_stays_null() -> None:
    jobs = {"a": config(gradient_clip=None), "b": config(gradient_clip=1)}
    assert list(differing_keys(jobs)["gradient_clip"]) == ["null", 1]


def test_flat_config() -> None:
    assert flat_config({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}) == {"a.b": 1, "a.c.d": "[1, 2]", "e": None}


def study(metric: str = "accuracy", **scores: list[float]) -> Study:
    """Jobs named by their initializers, and before an underscore by their data sets."""
    cells = []
    for name, values in scores.items():
        data, _, init = name.rpartition("_")
        cells.append(Cell({"data.name": data or "wine", "init.name": init}, values, metric=metric))
    found = study_of(*cells)
    names = dict(zip((cell.name for cell in cells), scores, strict=True))
    return replace(
        found,
        members=found.members.assign(job=found.members["job"].map(names)),
        differing=found.differing.rename(names),
    )


def test_best_first_and_survivors_do_not_win() -> None:
    nan = np.nan
    summary = summarize(study(fair=[0.7, 0.8], lucky=[0.99, nan], dead=[nan, nan], best=[0.9, 0.95]))
    assert list(summary["job"]) == ["best", "fair", "lucky", "dead"]
    row = summary.set_index("job")
    assert list(row["diverged"]) == [0, 0, 1, 2]
    assert row.loc["lucky", "test_score_mean"] == 0.99  # of those that are left, and said so
    assert np.isnan(row["test_score_mean"]["dead"])
    assert row["test_score_low"]["best"] < 0.9


def test_having_survived_with_a_negative_r2_is_not_worse_than_having_diverged() -> None:
    nan = np.nan
    summary = summarize(
        study("r2", wild=[-50.0, -40.0], bad=[-0.5, -0.4], dead=[nan, nan], half=[0.2, nan], ok=[0.3, 0.2])
    )
    assert list(summary["job"]) == ["ok", "half", "bad", "wild", "dead"]  # those at 0 by their loss
    assert set(summary["metric"]) == {"r2"}
    assert summary.set_index("job").loc["wild", "test_score_mean"] == -45  # shown as it is


def test_data_sets_do_not_compete() -> None:
    summary = summarize(study(hard_a=[0.3, 0.4], easy_a=[0.8, 0.9], hard_b=[0.5, 0.6], easy_b=[0.7, 0.7]))
    assert list(summary["job"]) == ["hard_b", "hard_a", "easy_a", "easy_b"]


def test_epochs_to_the_threshold_count_those_that_never_reach_it() -> None:
    row = summarize(study(half=[0.95, 0.95, 0.5, 0.5], most=[0.95, 0.95, 0.95, 0.5])).set_index("job")
    assert np.isnan(row["epochs_to_threshold"]["half"])
    assert row.loc["most", "epochs_to_threshold"] == 2
    assert list(row["reached"]) == [3, 2]


def test_equal_tables_give_equal_numbers() -> None:
    one = study(a=[0.7, 0.8, 0.75], b=[0.9, 0.6, 0.7])
    pd.testing.assert_frame_equal(summarize(one), summarize(one))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.5, 0.25, 0.75), "0.500 [0.250, 0.750]"),
        ((0.5, np.nan, np.nan), "0.500"),
        ((np.nan, np.nan, np.nan), "—"),
        ((12345.6, 1000.0, 99999.0), "12346 [1000, 99999]"),
        ((0.0034, 0.0021, 0.0049), "0.0034 [0.0021, 0.0049]"),  # a small loss
        ((3.2e-8, np.nan, np.nan), "3.2e-08"),
        ((-0.0004, -0.0006, -0.0002), "0.000 [-0.001, 0.000]"),  # R² of what predicts the mean
        ((-4.2e30, -9e30, -1e29), "-4.2e+30 [-9.0e+30, -1.0e+29]"),
    ],
)
def test_interval_text(values: tuple[float, float, float], text: str) -> None:
    assert interval_text(*values) == text


def test_the_table_counts_diverged_members() -> None:
    table = summary_table(summarize(study(a=[0.9, np.nan], b=[0.8, 0.7])), width=160)
    headers = [str(column.header) for column in table.columns]
    assert headers == ["init", "diverged", "test accuracy", "diverged as 0", "test loss", "epochs to 0.9"]
    assert list(table.columns[1].cells) == ["0", "[red]1 of 2[/red]"]
    assert list(table.columns[3].cells) == ["0.750", "0.450"]  # what they are compared by


def test_the_table_names_what_it_scores() -> None:
    def headers(found: Study) -> list[str]:
        return [str(column.header) for column in summary_table(summarize(found), width=160).columns]

    accuracy, fit = study(a=[0.9, 0.8]), study("r2", b=[0.7, -0.2])
    assert headers(fit) == ["init", "test R²", "test loss", "epochs to 0.9"]
    both = Study(
        pd.concat([accuracy.members, fit.members]), pd.DataFrame(), pd.concat([accuracy.differing, fit.differing])
    )
    assert headers(both) == ["init", "metric", "test score", "test loss", "epochs to 0.9"]
    table = summary_table(summarize(both), width=160)
    assert list(table.columns[1].cells) == ["accuracy", "R²"]


def test_one_seed_is_no_result() -> None:
    table = summary_table(summarize(study(a=[0.9])), width=160)
    assert table.caption == "one seed each: no interval, and nothing to conclude"
    assert list(table.columns[1].cells) == ["0.900"]


def test_one_initializer_under_two_names_is_one_row() -> None:
    found = study(a=[0.9, 0.8], b=[0.9, 0.8])
    same = Study(found.members, found.history, found.differing.assign(init="he_normal"))
    assert list(summarize(same)["seeds"]) == [2]
