"""Arrays of the user's own, from files and from functions: numbers, tokens, classes by any name."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from initlab.base.errors import UserError
from initlab.data.arrays import arrays, function
from initlab.data.dataset import Dataset, Split
from tests.helpers import QUICK, make_job, run, train

RNG = np.random.default_rng(0)
ROWS = 120
SIGNALS = RNG.normal(3, 2, (ROWS, 2, 16))
LABELS = (SIGNALS[:, 0].mean(1) > SIGNALS[:, 1].mean(1)).astype(int)
TOKENS = RNG.integers(0, 30, (ROWS, 6))

FIT = "data.task=regression fits the numbers."

OWN = """
import numpy as np
import torch
from torch import nn
from initlab.data.dataset import Dataset, Split

class Embedded(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.hidden = nn.Linear(8, 8)
        self.head = nn.Linear(8, out_features)
    def forward(self, tokens):
        return self.head(torch.relu(self.hidden(self.embedding(tokens).mean(1))))

class Wave(nn.Module):
    def __init__(self, out_features, input_shape):
        super().__init__()
        self.wave = nn.Conv1d(input_shape[0], 4, 3)
        self.head = nn.Linear(4, out_features)
    def forward(self, rows):
        return self.head(torch.relu(self.wave(rows)).mean(2))

def make(*, rows: int = 60, split_seed: int = 0):
    inputs = np.random.default_rng(0).normal(size=(rows, 4))
    return inputs, inputs[:, 0] > 0

def walks(*, steps: int = 5):
    walks = np.random.default_rng(0).normal(size=(60, steps)).cumsum(1)
    return walks, (walks > 0).astype(int)

def words():
    inputs = np.random.default_rng(0).normal(size=(60, 4))
    return torch.tensor(inputs), np.where(inputs[:, 0] > 0, "up", "down")

def two_pairs():
    return make(rows=60), make(rows=20)

def whole():
    rows = Split(torch.arange(60).view(20, 3) % 30, torch.arange(20) % 2)
    return Dataset(rows, rows, rows, classes=2, validates_on_test=True)

def three():
    return 1, 2, 3

def broken():
    return 1 / 0
"""


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    (tmp_path / "own_arrays.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_arrays", None)


@pytest.mark.parametrize("names", [("inputs", "targets"), ("x", "y"), ("X", "labels")])
def test_an_npz_file_and_two_npy_files_say_the_same(names: tuple[str, str], tmp_path: Path) -> None:
    np.savez(tmp_path / "waves.npz", **dict(zip(names, (SIGNALS, LABELS), strict=True)))
    np.save(tmp_path / "x.npy", SIGNALS)
    np.save(tmp_path / "y.npy", LABELS)
    both = arrays(path=str(tmp_path / "waves.npz"))
    assert both.checksum == arrays(inputs=str(tmp_path / "x.npy"), targets=str(tmp_path / "y.npy")).checksum
    assert (both.input_shape, both.classes, len(both.train)) == ((2, 16), 2, 76)
    torch.testing.assert_close(both.train.inputs.mean((0, 2)), torch.zeros(2), rtol=0, atol=1e-6)


def test_rows_to_test_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x_train=SIGNALS, y_train=LABELS, x_test=SIGNALS[:30], y_test=LABELS[:30])
    dataset = arrays(path=str(tmp_path / "w.npz"), standardize=False)
    assert len(dataset.test) == 30
    torch.testing.assert_close(dataset.test.inputs, torch.tensor(SIGNALS[:30], dtype=torch.float32))


@pytest.mark.parametrize(
    ("targets", "classes", "note"),
    [
        (LABELS + 5, 2, f"targets taken as 2 classes: 5, 6; {FIT}"),
        (np.where(LABELS, "yes", "no"), 2, "2 classes: no, yes."),
        (LABELS[:, None], 2, f"targets taken as 2 classes; {FIT}"),
        (LABELS.astype(bool), 2, ""),
        (LABELS.astype(float), 2, f"targets taken as 2 classes; {FIT}"),
        (LABELS.astype(np.float32) + 1, 2, f"targets taken as 2 classes: 1, 2; {FIT}"),
        (np.arange(ROWS) % 24, 24, f"targets taken as 24 classes; {FIT}"),
        (np.arange(ROWS) % 25, None, "targets taken as numbers; data.task=classification for their 25 classes."),
        (np.arange(ROWS) % 24.0, None, "targets taken as numbers; data.task=classification for their 24 classes."),
        (SIGNALS[:, 0, 0], None, ""),
        (SIGNALS[:, 0, :3], None, ""),
        (
            np.eye(2)[LABELS],
            None,
            "targets taken as numbers; targets.argmax(1) are the classes that they mark.",
        ),
    ],
)
def test_what_is_concluded_from_targets(targets: np.ndarray, classes: int | None, note: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x=SIGNALS, y=targets)
    read = partial(arrays, path=str(tmp_path / "w.npz"), standardize=False, stratify=False)
    dataset = read()
    assert (dataset.classes, dataset.note) == (classes, note)
    decided = read(task="classification" if classes else "regression")
    assert "data.task" not in decided.note
    assert decided.checksum == dataset.checksum


def test_that_inputs_are_standardized_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x=SIGNALS, y=LABELS.astype(bool))
    assert arrays(path=str(tmp_path / "w.npz")).note == (
        "inputs are standardized; data.standardize=false leaves them as they are."
    )
    assert arrays(path=str(tmp_path / "w.npz"), standardize=False).note == ""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            {"x": 120, "y": 120, "x_test": 30},
            "x_test is left out; x and y are used; rows to test on need both x_test and",
        ),
        ({"x": 120, "y": 120, "y_test": 30}, "y_test is left out; x and y are used; rows to test on need both"),
        (
            {"x_train": 120, "y_train": 120, "x_test": 30, "y_test": 30, "x_val": 9, "y_val": 9},
            "x_val and y_val are left out; x_train, y_train, x_test and y_test are used.",
        ),
        ({"inputs": 120, "x": 120, "y": 120}, "x is left out; inputs and y are used."),
    ],
)
def test_arrays_that_are_not_used_are_named(names: dict[str, int], said: str, tmp_path: Path) -> None:
    held = {name: (SIGNALS if name[0] in "xi" else LABELS.astype(bool))[:rows] for name, rows in names.items()}
    np.savez(tmp_path / "w.npz", **held)  # type: ignore[arg-type]
    assert arrays(path=str(tmp_path / "w.npz"), standardize=False).note.startswith(said)


def test_targets_to_test_on_of_another_shape(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", x=SIGNALS, y=SIGNALS[:, 0, 0], x_test=SIGNALS, y_test=SIGNALS[:, 0, :2])
    with pytest.raises(UserError, match=r"targets of shape \(120,\) to train on, and of shape \(120, 2\) to test on"):
        arrays(path=str(tmp_path / "w.npz"))


def test_each_line_of_the_data_comes_once_in_a_sweep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", x=SIGNALS.reshape(ROWS, -1), y=LABELS)
    command = "-m data=arrays data.path=a.npz dry_run=true logger=none seeds=2"
    for swept, recipe in (
        ("optim.lr=0.01,0.1,1", "model=mlp activation=relu optim=adam batch_size=32 trainer.max_epochs=50"),
        ("optim=sgd,adam batch_size=16,8", "model=mlp activation=relu trainer.max_epochs=50"),
        ("model=mlp,residual_mlp activation=tanh", "optim=adam optim.lr=0.001 batch_size=32 trainer.max_epochs=50"),
    ):
        assert run(f"{command} {swept}", monkeypatch, tmp_path) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("a: ")]
        assert len(lines) == 3, lines
        assert lines[0].startswith("a: 76 rows to train on")
        assert lines[2] == f"a: recipe: {recipe}"


def test_tokens_stay_as_they_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "texts.npz", x=TOKENS.astype(np.int32), y=LABELS)
    dataset = arrays(path=str(tmp_path / "texts.npz"), tokens=True)
    assert dataset.train.inputs.dtype == torch.int64
    assert {tuple(row) for row in dataset.test.inputs.tolist()} <= {tuple(row) for row in TOKENS.tolist()}
    plain = arrays(path=str(tmp_path / "texts.npz"))
    assert plain.train.inputs.dtype == torch.float32
    assert "data.tokens=true for nn.Embedding" in plain.note


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_a_network_on_tokens_trains(engine: str, precision: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "texts.npz", x=TOKENS, y=TOKENS[:, 0] > 14)
    job = make_job(
        *("data=arrays", f"data.path={tmp_path}/texts.npz", "data.tokens=true", "model._target_=own_arrays.Embedded"),
        *(f"engine={engine}", f"trainer.precision={precision}", "trainer.max_epochs=25", "optim.lr=0.02", "seeds=2"),
    )
    module = train(job)
    losses = [record.values["loss"] for record in module.history if record.split == "train"]
    assert bool((losses[-1] < losses[0] / 2).all())


def test_tokens_from_the_command_line_with_the_signal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "texts.npz", x=TOKENS, y=LABELS)
    data = "data=arrays data.path=texts.npz data.tokens=true model._target_=own_arrays.Embedded"
    assert run(f"-m init=he,lsuv signal.every=1 {data} {QUICK}", monkeypatch, tmp_path) == 0
    assert "texts: recipe: activation=relu optim=adam optim.lr=0.001 batch_size=32\n" in capsys.readouterr().out
    from initlab.cli.apps import probe as main

    assert run(f"init=he seeds=2 name=looked {data}", monkeypatch, tmp_path, program=main) == 0


def test_an_own_network_on_an_own_function_with_an_own_loss(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "waves.npz", x=SIGNALS, y=LABELS)
    command = (
        "-m init=he,zeros data=arrays data.path=waves.npz model._target_=own_arrays.Wave "
        f"loss._target_=torch.nn.MultiMarginLoss scheduler=warmup_cosine {QUICK}"
    )
    assert run(command, monkeypatch, tmp_path) == 0
    assert "optim=adam" in capsys.readouterr().out
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")
    assert len(summary) == 2
    assert run(f"data=function data.call=own_arrays.make +data.rows=80 {QUICK}2", monkeypatch, tmp_path) == 0
    assert "make: 51 rows to train on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "rows", "classes"), [("make", 38, 2), ("words", 38, 2), ("two_pairs", 48, 2), ("whole", 20, 2)]
)
def test_what_a_function_may_return(name: str, rows: int, classes: int) -> None:
    dataset = function(call=f"own_arrays.{name}")
    assert (len(dataset.train), dataset.classes) == (rows, classes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"data=function needs data.call=MODULE.FUNCTION"),
        ({"call": "own_arrays.nothing"}, r"data.call=own_arrays.nothing: cannot import it: AttributeError: "),
        ({"call": "nothing"}, r"data.call=nothing: expected the dotted name of a function"),
        (
            {"call": "own_arrays.broken"},
            r"data.call=own_arrays.broken: ZeroDivisionError: division by zero \(own_arrays.py, line 47, in broken\)",
        ),
        (
            {"call": "own_arrays.make", "row": 3},
            r"data.row: unknown key of data.call=own_arrays.make; did you mean rows",
        ),
        ({"call": "own_arrays.make", "rows": "x"}, r"data.rows=x: expected a whole number"),
        ({"call": "own_arrays.three"}, r"data.call=own_arrays.three: expected inputs and targets, or a Dataset"),
    ],
)
def test_functions_one_cannot_use(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        function(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"a": SIGNALS}, "holds a; expected arrays called inputs and targets, or x and y"),
        ({"x": SIGNALS, "y": LABELS[:5]}, "rows come first"),
        ({"x": SIGNALS.astype(str), "y": LABELS}, "inputs of type <U32: expected numbers"),
        ({"x": SIGNALS.astype(complex), "y": LABELS}, "inputs of type complex128"),
        ({"x": np.full_like(SIGNALS, np.nan), "y": LABELS}, "an input is not a finite number"),
    ],
)
def test_files_one_cannot_use(held: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", allow_pickle=True, **held)
    with pytest.raises(UserError, match=message):
        arrays(path=str(tmp_path / "w.npz"))


def test_what_is_no_file_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_text("no arrays")
    np.save(tmp_path / "pickled.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "one.npy", SIGNALS)
    for given, message in (
        ({}, "data=arrays needs data.path=FILE.npz"),
        ({"path": "nowhere.npz"}, "there is no such file"),
        ({"path": str(tmp_path / "w.npz")}, "no arrays of NumPy's"),
        ({"path": str(tmp_path / "pickled.npy")}, "no arrays of NumPy's"),
        ({"path": str(tmp_path / "one.npy")}, "holds one array; give two files"),
    ):
        with pytest.raises(UserError, match=message):
            arrays(**given)  # type: ignore[arg-type]  # as a configuration gives them


def test_integers_of_another_kind_are_refused() -> None:
    rows = Split(torch.zeros(6, 2, dtype=torch.int32), torch.arange(6) % 2)
    with pytest.raises(UserError, match=r"inputs are torch.int32 of shape .*; expected float32, or int64 for tokens,"):
        Dataset(rows, rows, rows, classes=2, validates_on_test=True)


STEPS = RNG.normal([3, -20], [2, 40], (ROWS, 7, 2))
RISES = (STEPS[:, :, 0] > 3).astype(int)


def sequences_of(folder: Path, x: np.ndarray, y: np.ndarray, **settings: Any) -> Dataset:
    np.savez(folder / "s.npz", x=x, y=y)
    return arrays(path=str(folder / "s.npz"), **settings)


def test_a_class_at_each_step_of_numbers(tmp_path: Path) -> None:
    """Each feature is standardized over all rows and steps."""
    targets = RISES.copy()
    targets[::2, 0] = -100
    dataset = sequences_of(tmp_path, STEPS, targets, task="sequence")
    assert (dataset.task, dataset.classes, dataset.sequential, dataset.vocabulary) == ("sequence", 2, True, None)
    assert dataset.input_shape == (7, 2)
    assert dataset.note == "inputs are standardized; data.standardize=false leaves them as they are."
    rows = dataset.train.inputs.double().reshape(-1, 2)
    torch.testing.assert_close(rows.mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)
    assert dataset.resplit is not None
    again = dataset.resplit(1)
    assert again.sequential
    assert again.test.targets.tolist() == targets[again.test_rows].tolist()
    plain = sequences_of(tmp_path, STEPS[..., 0], targets.astype(float), task="sequence", standardize=False)
    assert plain.input_shape == (7, 1)
    assert plain.test.inputs[..., 0].tolist() == STEPS[plain.test_rows, :, 0].astype(np.float32).tolist()
    assert plain.test.targets.tolist() == targets[plain.test_rows].tolist()


def test_a_class_at_each_step_of_tokens(tmp_path: Path) -> None:
    dataset = sequences_of(tmp_path, TOKENS, np.roll(TOKENS, -1, 1), task="sequence", tokens=True)
    assert (dataset.task, dataset.vocabulary, dataset.input_shape) == ("sequence", 30, (6,))
    assert torch.equal(dataset.train.inputs.roll(-1, 1), dataset.train.targets)
    assert dataset.note == ""


def test_one_class_for_a_whole_sequence(tmp_path: Path) -> None:
    """The same arrays are series by channels unless somebody says that time comes first."""
    dataset = sequences_of(tmp_path, STEPS, LABELS, sequential=True)
    assert (dataset.task, dataset.sequential, dataset.input_shape) == ("classification", True, (7, 2))
    torch.testing.assert_close(dataset.train.inputs.mean((0, 1)), torch.zeros(2), rtol=0, atol=1e-6)
    channels = sequences_of(tmp_path, STEPS, LABELS)
    assert not channels.sequential
    torch.testing.assert_close(channels.train.inputs.mean((0, 2)), torch.zeros(7), rtol=0, atol=1e-6)
    assert sequences_of(tmp_path, TOKENS, LABELS, sequential=True, tokens=True).vocabulary == 30


def test_targets_that_may_be_classes_at_each_step_are_asked_about(tmp_path: Path) -> None:
    dataset = sequences_of(tmp_path, STEPS, RISES, standardize=False)
    assert dataset.task == "regression"
    assert dataset.note == "targets taken as numbers; data.task=sequence for a class at each step."


@pytest.mark.parametrize(
    ("x", "y", "settings", "message"),
    [
        (STEPS, LABELS, {}, r"targets of type int64 and shape \(120,\); data.task=sequence needs a class at each step"),
        (
            STEPS,
            RISES[:, :5],
            {},
            r"shape \(120, 5\); data.task=sequence .* \(-100: none is asked for\) in shape \(120, 7\)",
        ),
        (STEPS, RISES + 0.5, {}, r"targets of type float64 and shape \(120, 7\); data.task=sequence needs a class"),
        (
            STEPS,
            np.where(RISES, "up", "down"),
            {},
            r"targets of type <U4 and shape \(120, 7\); data.task=sequence needs",
        ),
        (STEPS, RISES - 1, {}, "classes from -1 to 0; expected 0 to 0|there is a single class"),
        (STEPS, np.full_like(RISES, -100), {}, "a row has no step with a target"),
        (STEPS[:, :1], RISES[:, :1], {}, r"inputs of shape \(120, 1, 2\); expected at least 2 steps"),
        (STEPS[:, :0], RISES[:, :0], {}, r"inputs of shape \(120, 0, 2\); expected at least 2 steps"),
        (
            STEPS[..., None],
            RISES,
            {},
            r"inputs of shape \(120, 7, 2, 1\); expected sequences, \(rows, steps, features\)",
        ),
        (
            TOKENS[..., None],
            TOKENS,
            {"tokens": True},
            r"inputs of shape \(120, 6, 1\); expected sequences, \(rows, steps\)",
        ),
        (TOKENS - 1, TOKENS, {"tokens": True}, "data.tokens=true: a token is -1; expected whole numbers from 0"),
    ],
)
def test_sequences_that_are_none(
    x: np.ndarray, y: np.ndarray, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        sequences_of(tmp_path, x, y, task="sequence", **settings)
    assert "\n" not in str(caught.value)


def test_a_function_returns_sequences() -> None:
    dataset = function(call="own_arrays.walks", task="sequence")
    assert (dataset.task, dataset.input_shape, dataset.classes) == ("sequence", (5, 1), 2)
    assert function(call="own_arrays.walks", sequential=True, task="sequence", steps=9).input_shape == (9, 1)
    assert "sequential" not in make_job("data=function", "data.call=own_arrays.walks").config.data
