"""Made-up data is what its description says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier

from initlab.base.errors import UserError
from initlab.data.dataset import Dataset
from initlab.data.synthetic import spirals, teacher
from initlab.jobs.targets import target


def rows_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    splits = (dataset.train, dataset.val, dataset.test)
    return np.concatenate([s.inputs.numpy() for s in splits]), np.concatenate([s.targets.numpy() for s in splits])


@pytest.mark.parametrize("load", [teacher, spirals])
def test_the_same_arguments_give_the_same_rows_whatever_the_global_state(load: Callable[..., Dataset]) -> None:
    first = load(seed=3).checksum
    torch.manual_seed(7)
    np.random.seed(7)
    assert load(seed=3).checksum == first
    assert load(seed=4).checksum != first
    assert load(seed=3, split_seed=1).checksum != first


def test_a_teachers_rows() -> None:
    dataset = teacher(rows=1000, features=7, outputs=3, test_fraction=0.3)
    assert dataset.task == "regression"
    assert (dataset.input_shape, dataset.outputs, dataset.classes) == ((7,), 3, None)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (560, 140, 300)
    inputs, targets = rows_of(dataset)
    assert inputs.std(0) == pytest.approx(np.ones(7), abs=0.1)
    np.testing.assert_allclose(targets.std(0), 1, atol=0.1)
    assert dataset.train.targets.std(0, correction=0).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_a_linear_teacher_is_linear_and_a_deep_one_is_not() -> None:
    def fit(**settings: Any) -> float:
        inputs, targets = rows_of(teacher(rows=2000, features=5, **settings))
        return float(LinearRegression().fit(inputs, targets).score(inputs, targets))

    assert fit(depth=0, noise=0) == pytest.approx(1, abs=1e-6)
    assert fit(depth=0, noise=0.5) == pytest.approx(1 / 1.25, abs=0.03)
    assert teacher(noise=0.5).note == "the noise leaves an R² of 0.800 at best"
    assert teacher(noise=0).note == ""
    assert 0.1 < fit(depth=3, noise=0) < 0.97


def test_a_deep_teacher_still_tells_its_inputs_apart() -> None:
    """Without noise its answers are normalized, but answers all but equal would be rounding errors."""
    for activation in ("relu", "sigmoid", "tanh"):
        _, targets = rows_of(teacher(depth=12, activation=activation, noise=0, rows=500))
        assert len(np.unique(targets)) > 450


def test_a_teacher_classifies() -> None:
    dataset = teacher(task="classification", outputs=4, rows=2000)
    assert (dataset.task, dataset.classes) == ("classification", 4)
    assert dataset.train.targets.bincount().min() > 100


def test_spirals_are_spirals() -> None:
    dataset = spirals(rows=900, classes=3, turns=2, noise=0, standardize=False)
    points, labels = rows_of(dataset)
    radius = np.hypot(*points.T)
    angle = np.arctan2(points[:, 1], points[:, 0])
    lag = angle - 2 * np.pi * (2 * radius + labels / 3)
    np.testing.assert_allclose(np.cos(lag[radius > 0.01]), 1, atol=1e-4)
    assert np.bincount(labels).tolist() == [300, 300, 300]
    assert radius.max() <= 1.0001


def test_spirals_can_be_learned_but_not_by_a_line() -> None:
    dataset = spirals()
    train, test = dataset.train, dataset.test
    nearest = KNeighborsClassifier(3).fit(train.inputs, train.targets).score(test.inputs, test.targets)
    one_hot = np.eye(3)[train.targets]
    line = LinearRegression().fit(train.inputs, one_hot).predict(test.inputs).argmax(1)
    assert nearest > 0.95
    assert (line == test.targets.numpy()).mean() < 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": 3}, "data.rows=3: expected at least 10"),
        ({"depth": -1}, "data.depth=-1: expected at least 0"),
        ({"noise": float("nan")}, "data.noise=nan: expected at least 0"),
        ({"activation": "tahn"}, "data.activation=tahn: unknown activation; did you mean tanh"),
        ({"task": "classification"}, "data.outputs=1: a classification needs at least 2"),
        ({"test_fraction": 2.0}, r"data.test_fraction=2.0: expected a share"),
    ],
)
def test_impossible_teachers(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        teacher(**settings)


def test_a_teacher_asks_for_nothing_at_each_step() -> None:
    with pytest.raises(UserError, match=r"data.task=sequence: expected one of regression, classification"):
        target("data", {"_target_": "initlab.data.synthetic.teacher", "name": "teacher", "task": "sequence"})


def test_impossible_spirals() -> None:
    with pytest.raises(UserError, match=r"data.classes=1: expected at least 2"):
        spirals(classes=1)
