"""From arrays to a data set, and what a data set refuses to be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.dummy import DummyRegressor

from initlab.base.errors import UserError
from initlab.data.assemble import assemble
from initlab.data.dataset import Dataset, Split, TaskName

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(3.0, 2.0, (60, 4))
NUMBERS = RNG.normal(100.0, 7.0, (60, 2))
LABELS = np.arange(60) % 3
PLAIN: dict[str, Any] = {"val_fraction": 0.25, "split_seed": 0, "stratify": True, "standardize": True}


def build(targets: np.ndarray, task: TaskName = "classification", **changes: Any) -> Dataset:
    options: dict[str, Any] = {"test": 0.2, **PLAIN, "task": task, **changes}
    return assemble((INPUTS, targets), **options)


def test_a_regression() -> None:
    dataset = build(NUMBERS, "regression")
    assert (dataset.task, dataset.classes, dataset.outputs) == ("regression", None, 2)
    assert dataset.train.targets.dtype == torch.float32
    assert dataset.train.targets.shape == (36, 2)
    assert build(NUMBERS[:, 0], "regression").train.targets.shape == (36, 1)


def test_numbers_to_fit_are_standardized_by_training_rows() -> None:
    official = assemble((INPUTS[:40], NUMBERS[:40]), (INPUTS[40:], NUMBERS[40:]), **PLAIN, task="regression")
    train, test = official.train.targets, official.test.targets
    assert train.mean(0).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert train.std(0, correction=0).tolist() == pytest.approx([1, 1], abs=1e-6)
    assert float(test.mean(0).abs().max()) > 0.01
    # An affine map, the same for all rows.
    slope, offset = np.polyfit(NUMBERS[40:, 0], test[:, 0], 1)
    np.testing.assert_allclose(slope * NUMBERS[40:, 0] + offset, test[:, 0], atol=1e-5)


def test_stratifying_is_nothing_to_a_regression() -> None:
    assert build(NUMBERS, "regression").checksum == build(NUMBERS, "regression", stratify=False).checksum


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_baseline_of_a_regression_is_that_of_predicting_the_mean(outputs: int) -> None:
    dataset = build(NUMBERS[:, :outputs], "regression")
    dummy = DummyRegressor().fit(dataset.train.inputs, dataset.train.targets)
    assert dataset.baseline == pytest.approx(dummy.score(dataset.test.inputs, dataset.test.targets), abs=1e-6)
    assert dataset.baseline < 0


def test_prepare_sees_the_remaining_training_rows_only() -> None:
    seen = []

    def prepare(rows: np.ndarray) -> object:
        seen.append(rows)
        return lambda some: some * 2

    dataset = build(LABELS, prepare=prepare)
    (rows,) = seen
    np.testing.assert_allclose(dataset.train.inputs, rows * 2, rtol=1e-6)
    assert len(rows) == 36


def test_constant_columns_become_zero() -> None:
    inputs = INPUTS.copy()
    inputs[:, 1] = 0.1  # whose mean is not 0.1 to the last bit
    dataset = assemble((inputs, LABELS), 0.2, **PLAIN)
    assert (dataset.train.inputs[:, 1].abs() < 1e-6).all()


@pytest.mark.parametrize("targets", [NUMBERS[:, 0], NUMBERS, LABELS.astype(str), LABELS[:, None]])
def test_numbers_are_no_classes(targets: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"are no classes, whole numbers from 0 .* number them, or fit them"):
        build(targets)


def test_rare_classes_say_what_to_do() -> None:
    labels = LABELS.copy()
    labels[0] = 3
    with pytest.raises(UserError, match=r"data.test_fraction=0.2: .* least populated .*data.stratify=false"):
        build(labels)
    assert build(labels, stratify=False).classes == 4


def good(task: TaskName) -> Dataset:
    return build(LABELS) if task == "classification" else build(NUMBERS, "regression")


@pytest.mark.parametrize(
    ("task", "part", "change", "message"),
    [
        ("classification", "inputs", lambda x: x.double(), "expected float32"),
        ("classification", "inputs", lambda x: x[:, :2], r"expected float32 of shape \(rows, 4\)"),
        ("classification", "inputs", lambda x: x[1:], "11 inputs and 12 targets"),
        ("classification", "inputs", lambda x: x / 0, "an input is not a finite number"),
        ("classification", "targets", lambda y: y.int(), "expected classes, int64"),
        ("classification", "targets", lambda y: y + 1, "classes from 1 to 3; expected 0 to 2"),
        ("classification", "targets", lambda y: y - 1, "classes from -1 to 1; expected 0 to 2"),
        ("regression", "targets", lambda y: y[:, 0], "expected numbers, float32 of shape"),
        ("regression", "targets", lambda y: y[:, :1], "expected numbers, float32 of shape"),
        ("regression", "targets", lambda y: y / 0, "a target is not a finite number"),
        ("regression", "targets", lambda y: y * torch.tensor([1.0, 0.0]), "the same number in all rows"),
    ],
)
def test_what_is_no_data_set(
    task: TaskName, part: str, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    dataset = good(task)
    test = replace(dataset.test, **{part: change(getattr(dataset.test, part))})
    with pytest.raises(UserError, match=f"data: the test rows: .*{message}"):
        replace(dataset, test=test)


def test_no_rows_and_no_second_class() -> None:
    dataset = good("classification")
    with pytest.raises(UserError, match="the val rows: 0 inputs and 0 targets"):
        replace(dataset, val=Split(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)))
    with pytest.raises(UserError, match="there is a single class"):
        build(np.zeros(60, np.int64))
