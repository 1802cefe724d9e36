"""Sequences that are made by a rule: every row is checked against the rule, written out step by step."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from initlab.base.errors import UserError
from initlab.config.files import CONF
from initlab.data.adding import adding
from initlab.data.copy import copy
from initlab.data.dataset import NO_TARGET, Dataset, Split
from initlab.data.parity import parity
from initlab.data.recall import recall
from initlab.data.tasks import TASKS
from initlab.data.text import text

MADE: tuple[Callable[..., Dataset], ...] = (adding, copy, parity, recall)


def rows_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    splits = (dataset.train, dataset.val, dataset.test)
    return np.concatenate([s.inputs.numpy() for s in splits]), np.concatenate([s.targets.numpy() for s in splits])


@pytest.mark.parametrize("make", MADE)
def test_the_same_arguments_give_the_same_rows_and_each_seed_a_split_of_its_own(make: Callable[..., Dataset]) -> None:
    first = make(rows=100, seed=3)
    torch.manual_seed(7)
    np.random.seed(7)
    assert make(rows=100, seed=3).checksum == first.checksum
    assert make(rows=100, seed=4).checksum != first.checksum
    assert first.resplit is not None
    own = first.resplit(5)
    assert own.checksum != first.checksum
    assert (own.sequential, own.vocabulary, own.task) == (True, first.vocabulary, first.task)
    assert (len(first.train), len(first.val), len(first.test)) == (64, 16, 20)
    if make is not adding:  # whose targets are rescaled by the training rows
        same = [sorted(map(bytes, rows_of(data)[0])) for data in (first, own)]
        assert same[0] == same[1]


@pytest.mark.parametrize("steps", [2, 7, 10])
def test_adding_asks_for_the_sum_of_two_values_one_in_each_half(steps: int) -> None:
    dataset = adding(rows=200, steps=steps)
    assert (dataset.task, dataset.input_shape, dataset.outputs, dataset.vocabulary) == (
        "regression",
        (steps, 2),
        1,
        None,
    )
    inputs, targets = rows_of(dataset)
    sums = []
    for row in inputs:
        first, second = (place for place, (_, mark) in enumerate(row) if mark)
        assert first < steps // 2 <= second
        sums.append(row[first, 0] + row[second, 0])
    assert set(np.unique(inputs[..., 1])) == ({0, 1} if steps > 2 else {1})
    assert 0 <= inputs[..., 0].min() < 0.02 < 0.98 < inputs[..., 0].max() < 1
    np.testing.assert_allclose(np.polyval(np.polyfit(sums, targets[:, 0], 1), sums), targets[:, 0], atol=1e-5)


def test_always_answering_the_mean_of_an_adding_problem_costs_a_sixth() -> None:
    """The variance of a sum of two uniform numbers; the standard error of the variance of 40,000 rows is .6 % of it."""
    dataset = adding(rows=40_000, steps=8)
    inputs, _ = rows_of(dataset)
    sums = inputs.prod(2).sum(1)
    assert np.square(sums - sums.mean()).mean() == pytest.approx(1 / 6, rel=0.025)
    nothing = TASKS["regression"].loss(torch.zeros_like(dataset.test.targets), dataset.test.targets).mean()
    assert float(nothing) == pytest.approx(1, abs=0.05)
    assert dataset.baseline == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(inputs[..., 1].sum(0), 10_000, atol=4 * math.sqrt(7500))


@pytest.mark.parametrize("blanks", [False, True])
def test_a_copy_repeats_what_was_shown(blanks: bool) -> None:
    dataset = copy(rows=50, steps=17, symbols=4, kinds=5, blanks=blanks)
    assert (dataset.task, dataset.input_shape, dataset.vocabulary) == ("sequence", (17,), 7)
    assert dataset.classes == 5 + blanks
    for row, asked in zip(*(values.tolist() for values in rows_of(dataset)), strict=True):
        shown = row[:4]
        assert row == [*shown, *[5] * 8, 6, *[5] * 4]
        assert max(shown) < 5
        assert asked == [*[5 if blanks else NO_TARGET] * 13, *shown]


def test_who_remembers_nothing_of_a_copy_has_the_losses_that_are_told() -> None:
    """With blanks 10 · ln 8 / (T + 20), as Arjovsky et al. 2016 have it; without ln 8."""
    length = 20
    for blanks, expected in ((True, 10 * math.log(8) / (length + 20)), (False, math.log(8))):
        dataset = copy(rows=500, steps=length + 20, blanks=blanks)
        answers = torch.zeros(*dataset.test.targets.shape, 8 + blanks)
        if blanks:
            answers[:, :-10, 8], answers[:, -10:, 8] = 60, -60
        loss = TASKS["sequence"].loss(answers, dataset.test.targets).mean()
        assert float(loss) == pytest.approx(expected, rel=1e-5)
        assert f"{expected:.4g}" in dataset.note
    assert copy(rows=5000).baseline == pytest.approx(1 / 8, abs=0.01)
    assert copy(rows=500, blanks=True).baseline == pytest.approx(20 / 30)
    symbols = np.bincount(rows_of(copy(rows=5000))[0][:, :10].ravel(), minlength=8)
    np.testing.assert_allclose(symbols, 50_000 / 8, atol=4 * math.sqrt(50_000 / 8))


@pytest.mark.parametrize("tokens", [False, True])
def test_parity_is_the_sign_of_a_product(tokens: bool) -> None:
    dataset = parity(rows=300, steps=9, tokens=tokens)
    whole = parity(rows=300, steps=9, tokens=tokens, every_step=False)
    shape, vocabulary = ((9,), 2) if tokens else ((9, 1), None)
    assert (dataset.task, dataset.input_shape, dataset.vocabulary) == ("sequence", shape, vocabulary)
    assert (whole.task, whole.input_shape, whole.classes) == ("classification", shape, 2)
    inputs, targets = rows_of(dataset)
    signs = (1 - 2 * inputs if tokens else -inputs[..., 0]).astype(int)
    assert np.array_equal(np.cumprod(signs, axis=1), 1 - 2 * targets)
    assert np.array_equal(rows_of(whole)[1], targets[:, -1])
    assert len(np.unique(signs, axis=0)) == 300


def test_parities_of_any_length() -> None:
    everything = rows_of(parity(rows=16, steps=4, tokens=True))[0]
    assert sorted(map(tuple, everything.tolist())) == [tuple(map(int, f"{code:04b}")) for code in range(16)]
    long = rows_of(parity(rows=400, steps=100, tokens=True))[0]
    np.testing.assert_allclose(long.mean(0), 0.5, atol=4 * 0.5 / 20)
    np.testing.assert_allclose(np.corrcoef(long.T) - np.eye(100), 0, atol=5.5 / 20)


def test_recall_asks_for_what_stood_beside_the_key() -> None:
    dataset = recall(rows=400, steps=15, pairs=4, kinds=6)
    assert (dataset.task, dataset.input_shape, dataset.classes, dataset.vocabulary) == ("sequence", (15,), 6, 13)
    places: list[int] = []
    for row, asked in zip(*(values.tolist() for values in rows_of(dataset)), strict=True):
        known = {row[place]: row[place + 1] for place in range(0, 8, 2)}
        assert len(known) == 4
        assert all(6 <= key < 12 and value < 6 for key, value in known.items())
        assert asked == [NO_TARGET] * 8 + [known.get(token, NO_TARGET) for token in row[8:]]
        assert sorted(token for token in row[8:] if token != 12) == sorted(known)
        places += [place for place, token in enumerate(row[8:]) if token != 12]
    np.testing.assert_allclose(np.bincount(places), 1600 / 7, atol=4 * math.sqrt(400 * 4 / 7 * 3 / 7))
    assert recall(rows=5000).baseline == pytest.approx(1 / 16, abs=0.01)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        *((make, {"steps": steps}, f"data.steps={steps}: expected at least 2") for make in MADE for steps in (0, 1)),
        *((make, {"rows": 9}, "data.rows=9: expected at least 10") for make in MADE),
        *((make, {"seed": -1}, "data.seed=-1: expected at least 0") for make in MADE),
        *((make, {"test_fraction": 1.5}, "data.test_fraction=1.5: expected a share") for make in MADE),
        (copy, {"steps": 20}, "data.steps=20: expected at least 21, for data.symbols=10, the sign and the answer"),
        (copy, {"symbols": 0}, "data.symbols=0: expected at least 1"),
        (copy, {"kinds": 1}, "data.kinds=1: expected at least 2"),
        (parity, {"rows": 40, "steps": 5}, "data.rows=40: there are 32 sequences of data.steps=5; expected at most so"),
        (recall, {"pairs": 0}, "data.pairs=0: expected at least 1"),
        (recall, {"pairs": 17, "steps": 60}, "data.kinds=16: expected at least data.pairs=17, as the keys of a row"),
        (recall, {"steps": 11}, "data.steps=11: expected at least 12: data.pairs=4 of two, and their queries"),
    ],
)
def test_sizes_that_cannot_be(make: Callable[..., Dataset], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make(**settings)
    assert "\n" not in str(caught.value)


def test_the_shortest_sequences() -> None:
    assert copy(rows=10, steps=3, symbols=1).input_shape == (3,)
    assert recall(rows=10, steps=3, pairs=1, kinds=2).input_shape == (3,)
    split: Split = adding(rows=10, steps=2).test
    assert split.inputs[..., 1].tolist() == [[1, 1]] * 2


@pytest.mark.parametrize("make", [*MADE, text])
def test_a_recipe_has_every_argument_and_its_default(make: Callable[..., Dataset]) -> None:
    """Whoever reads the file sees all that can be set."""
    recipe = yaml.safe_load((CONF / "data" / f"{make.__name__}.yaml").read_text())["data"]
    assert recipe.pop("_target_") == f"{make.__module__}.{make.__name__}"
    assert recipe.pop("name") == make.__name__
    assert recipe == {name: value.default for name, value in inspect.signature(make).parameters.items()}
