"""Data of the user's own as arrays: from files that NumPy wrote, or from a function."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from initlab.base.errors import UserError, first_line
from initlab.base.own_code import own_fault
from initlab.base.wording import listed
from initlab.config.calls import check_call, import_target
from initlab.data.assemble import Arrays, assemble
from initlab.data.dataset import Dataset, TaskName
from initlab.data.fields import sentences
from initlab.data.sequences import could_be_steps, steps_first
from initlab.data.target_column import LEAST_ROWS_A_CLASS, MOST_CLASSES

# What the arrays of a file may be called.
INPUTS: Final = ("inputs", "x", "X", "features", "data", "images")
TARGETS: Final = ("targets", "y", "Y", "labels", "target", "label")
SHOWN: Final = 3
AnyTask = Literal["auto", "classification", "regression", "sequence"]


def arrays(
    *,
    path: str | None = None,
    inputs: str | None = None,
    targets: str | None = None,
    task: AnyTask = "auto",
    tokens: bool = False,
    sequential: bool = False,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """Arrays that NumPy wrote: an .npz file that holds both, or an .npy file each.

    An .npz file may hold rows to test on, too: `x_test` and `y_test` beside `x` and `y`, or beside `x_train` and
    `y_train`. What else it holds is left out, and the data set's note says so.

    Args:
        path: The .npz file; its arrays are called inputs and targets, or x and y.
        inputs: In place of `path`, an .npy file: shape (rows, …), rows first.
        targets: With `inputs`, an .npy file: shape (rows,), or (rows, outputs) for several numbers.
        task: `"classification"`, `"regression"`, `"sequence"` for a class at each step, whole numbers from 0 in shape
            (rows, steps), -100 where nothing is asked for; or `"auto"`: words are classes, and so are whole numbers
            with 5 rows each on average, of which those that are written as 1.0 have at most 20 different values; other
            numbers are to be fitted.
        tokens: Whether inputs are whole numbers that stand for something, as for `nn.Embedding`: they stay as they are.
        sequential: Whether the first dimension of a row is time: inputs are (rows, steps, features), (rows, steps) for
            one number a step, or with `tokens` (rows, steps). It is so for `task="sequence"`, too.
        test_fraction: Share of all rows to test on, in (0, 1); without effect where the file has such rows.
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether inputs get mean 0 and variance 1: each column, each channel, or each feature of
            sequences.

    Raises:
        UserError: a file that is not there or holds no such arrays, or arrays that no network could be trained on.
    """
    if path is not None and inputs is None and targets is None:
        where = f"data.path={path}"
        held = _load(where, path)
        if not isinstance(held, Mapping):
            raise UserError(f"{where}: holds one array; give two files, data.inputs=FILE data.targets=FILE")
        train, test, said = _named(where, held)
    elif path is None and inputs is not None and targets is not None:
        where = f"data.inputs={inputs}"
        pair = _load(where, inputs), _load(f"data.targets={targets}", targets)
        if any(isinstance(part, Mapping) for part in pair):
            raise UserError(f"{where}: holds several arrays; data.path=FILE takes both from one file")
        train, test, said = (pair[0], np.asarray(pair[1])), None, ""
    else:
        raise UserError("data=arrays needs data.path=FILE.npz, or data.inputs=FILE.npy and data.targets=FILE.npy")
    return from_arrays(
        train,
        test,
        where=where,
        task=task,
        tokens=tokens,
        sequential=sequential,
        test_fraction=test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
        said=said,
    )


def function(
    *,
    call: str | None = None,
    task: AnyTask = "auto",
    tokens: bool = False,
    sequential: bool = False,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
    **arguments: Any,
) -> Dataset:
    """What a function returns: `data=function data.call=my_module.make`.

    Args:
        call: Its dotted name, must be given. It returns inputs and targets, arrays or tensors with rows first; or two
            such pairs, of which the second is tested on; or a `Dataset`, to which what follows does nothing.
        task: `"classification"`, `"regression"`, `"sequence"` for a class at each step, whole numbers from 0 in shape
            (rows, steps), -100 where nothing is asked for; or `"auto"`: words are classes, and so are whole numbers
            with 5 rows each on average, of which those that are written as 1.0 have at most 20 different values; other
            numbers are to be fitted.
        tokens: Whether inputs are whole numbers that stand for something, as for `nn.Embedding`: they stay as they are.
        sequential: Whether the first dimension of a row is time: inputs are (rows, steps, features), (rows, steps) for
            one number a step, or with `tokens` (rows, steps). It is so for `task="sequence"`, too.
        test_fraction: Share of all rows to test on, in (0, 1); without effect where the function gives such rows.
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether inputs get mean 0 and variance 1: each column, each channel, or each feature of
            sequences.
        **arguments: The function's own. Of the above it gets those that it declares, too.

    Raises:
        UserError: no such function, an argument that it does not take, or arrays that no network could be trained on.
    """
    if call is None:
        raise UserError("data=function needs data.call=MODULE.FUNCTION, a function that returns inputs and targets")
    make = import_target(call, where="data", key="call")
    try:
        declared = inspect.signature(make).parameters
    except (TypeError, ValueError) as error:
        raise UserError(f"data.call={call}: no function ({first_line(error)})") from error
    splits = {
        "test_fraction": test_fraction,
        "val_fraction": val_fraction,
        "split_seed": split_seed,
        "stratify": stratify,
        "standardize": standardize,
    }
    kind = {"tokens": tokens, "sequential": sequential}
    offered = {**splits, "sequential": sequential}
    arguments |= {name: value for name, value in offered.items() if name in declared}
    where = f"data.call={call}"
    check_call(make, arguments, where="data", choice=where)
    try:
        made = make(**arguments)
    except UserError:
        raise
    except Exception as error:  # whatever the user's function brings about
        plain = UserError(f"{where}: {type(error).__name__}: {first_line(error)}")
        raise own_fault(error, where) or plain from error
    if isinstance(made, Dataset):
        return made
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise UserError(f"{where}: expected inputs and targets, or a Dataset, got {type(made).__name__}")
    if all(isinstance(part, tuple) and len(part) == 2 for part in made):
        train, test = ((_array(pair[0]), _array(pair[1])) for pair in made)
        return from_arrays(train, test, where=where, task=task, **kind, **splits)  # type: ignore[arg-type]
    return from_arrays((_array(made[0]), _array(made[1])), None, where=where, task=task, **kind, **splits)  # type: ignore[arg-type]


def from_arrays(
    train: Arrays,
    test: Arrays | None,
    *,
    where: str,
    task: AnyTask,
    tokens: bool,
    sequential: bool,
    test_fraction: float,
    val_fraction: float,
    split_seed: int,
    stratify: bool,
    standardize: bool,
    said: str = "",
) -> Dataset:
    """A data set of arrays, whatever their targets are called.

    Args:
        train: Inputs and targets, rows first.
        test: Rows to test on; None: they are split off.
        where: Where the arrays come from, for messages.
        task: As in `arrays`, and so is what follows.
        tokens: Whether inputs are whole numbers that stay as they are.
        sequential: Whether the first dimension of a row is time.
        test_fraction: Share of all rows to test on.
        val_fraction: Share of the remaining rows to validate on.
        split_seed: Seed of both splits.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether inputs get mean 0 and variance 1.
        said: What else a reader must know, one sentence; may be empty.

    Raises:
        UserError: arrays that do not belong together, or that no network could be trained on.
    """
    pairs = [_checked(pair, where, tokens=tokens) for pair in (train, test) if pair is not None]
    quantities = pairs[0][0].dtype.kind in "iu" and pairs[0][0].ndim == 2
    ordered = sequential or task == "sequence"
    if ordered:
        pairs = [steps_first(pair, where, tokens=tokens, every_step=task == "sequence") for pair in pairs]
    shapes = [targets.shape for _, targets in pairs]
    if len({shape[1:] for shape in shapes}) > 1:
        raise UserError(f"{where}: targets of shape {shapes[0]} to train on, and of shape {shapes[1]} to test on")
    found, concluded = _task(np.concatenate([targets for _, targets in pairs]), task)
    if task == "auto" and not concluded and could_be_steps(*pairs[0]):
        concluded = "targets taken as numbers; data.task=sequence for a class at each step"
    notes = [concluded, said]
    if standardize and not tokens:
        notes.append("inputs are standardized; data.standardize=false leaves them as they are")
        if quantities:
            notes.append("whole numbers as inputs are taken for quantities; data.tokens=true for nn.Embedding")
    if found == "classification":
        classes = np.unique(np.concatenate([targets for _, targets in pairs]))
        pairs = [(inputs, np.searchsorted(classes, targets)) for inputs, targets in pairs]
    dataset = assemble(
        pairs[0],
        pairs[1] if len(pairs) > 1 else test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
        task=found,
        tokens=tokens,
        features_last=ordered,
        note=sentences(notes),
    )
    if not ordered:
        return dataset
    return dataset.as_sequences(vocabulary=max(int(inputs.max()) for inputs, _ in pairs) + 1 if tokens else None)


def _task(targets: np.ndarray, task: str) -> tuple[TaskName, str]:
    """What is to be predicted, and what a reader must know of that conclusion; may be empty."""
    if task == "sequence":
        return "sequence", ""
    kind, values = targets.dtype.kind, np.unique(targets)
    if task == "auto" and targets.ndim > 1:
        if targets.ndim == 2 and np.isin(values, (0, 1)).all() and (targets.sum(1) == 1).all():
            return "regression", "targets taken as numbers; targets.argmax(1) are the classes that they mark"
        return "regression", ""
    if task == "regression" or (task == "auto" and kind == "f" and not _whole(values)):
        return "regression", ""
    numeric = task == "auto" and kind in "iuf"
    most = MOST_CLASSES if kind == "f" else len(values)  # 1.0 is less sure to be a class than 1
    if numeric and len(values) > min(most, len(targets) / LEAST_ROWS_A_CLASS):
        return "regression", f"targets taken as numbers; data.task=classification for their {len(values)} classes"
    shown = [f"{value:g}" if kind == "f" else str(value) for value in values[:SHOWN]] + ["…"] * (len(values) > SHOWN)
    counted_up = kind in "biuf" and np.array_equal(values, np.arange(len(values)))
    classes = f"{len(values)} classes" + ("" if counted_up else f": {', '.join(shown)}")
    if numeric:
        return "classification", f"targets taken as {classes}; data.task=regression fits the numbers"
    return "classification", "" if counted_up else classes


def _whole(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (values % 1 == 0).all())


def _checked(pair: Arrays, where: str, *, tokens: bool) -> Arrays:
    inputs, targets = np.asarray(pair[0]), np.asarray(pair[1])
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise UserError(
            f"{where}: inputs of shape {inputs.shape} and targets of shape {targets.shape}: rows come first"
        )
    if inputs.dtype.kind not in "biuf":
        raise UserError(f"{where}: inputs of type {inputs.dtype}: expected numbers")
    if tokens and inputs.dtype.kind not in "iu":
        raise UserError(f"{where}: data.tokens=true: inputs are {inputs.dtype}, and no whole numbers")
    if targets.dtype.kind not in "biufUSO":
        raise UserError(f"{where}: targets of type {targets.dtype}: expected numbers, or words for classes")
    return (inputs[:, None] if inputs.ndim == 1 else inputs), targets.astype(
        str
    ) if targets.dtype.kind in "OS" else targets


def _load(where: str, path: str) -> Any:
    """The array of an .npy file, or those of an .npz file by name; nothing in the file is run.

    Raises:
        UserError: the file is not there, or is damaged.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{where}: there is no such file (seen from {Path.cwd()})")
    try:
        held = np.load(file, allow_pickle=False)
        return held if isinstance(held, np.ndarray) else dict(held)
    except Exception as error:  # damaged files bring about errors of any kind
        raise UserError(f"{where}: no arrays of NumPy's ({type(error).__name__}: {first_line(error)})") from error


def _named(where: str, held: Mapping[str, np.ndarray]) -> tuple[Arrays, Arrays | None, str]:
    """Inputs and targets among named arrays, those to test on, if there are any, and a remark on the others.

    Raises:
        UserError: there are none of such names.
    """

    def names(suffix: str) -> list[str]:
        found = [[name + suffix for name in names if name + suffix in held][:1] for names in (INPUTS, TARGETS)]
        return [*found[0], *found[1]] if all(found) else []

    train, test = names("") or names("_train"), names("_test")
    if not train:
        known = ", ".join(held) or "nothing"
        raise UserError(f"{where}: holds {known}; expected arrays called inputs and targets, or x and y")
    others = [name for name in held if name not in (*train, *test)]
    remark = f"{listed(others)} {'is' if len(others) == 1 else 'are'} left out; {listed([*train, *test])} are used"
    if not test and any(name.endswith("_test") for name in others):
        remark += "; rows to test on need both x_test and y_test"
    pairs = [(held[part[0]], held[part[1]]) for part in (train, test) if part]
    return pairs[0], pairs[1] if test else None, remark if others else ""


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
