"""Weights from a file."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError, first_line
from initlab.initializers.context import Context
from initlab.initializers.registry import register

# Under what other programs keep a state dict, beside an optimizer's and how far they are.
NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params", "model_ema")
MEMBER = re.compile(r"\d+/")  # what begins a name in a file that initlab wrote
SHOWN = 4  # names of each kind of mismatch


@register(
    "pretrained",
    level="model",
    needs=("checkpoint",),
    source="a checkpoint: safetensors, or a state dict that torch.save wrote",
    random=False,
)
def pretrained(
    model: nn.Module, *, context: Context, path: Path | None = None, prefix: str = "", member: int | None = None
) -> dict[str, str]:
    """Load all parameters and buffers from a checkpoint whose names and shapes fit.

    Nothing in the file is run: `.safetensors` cannot hold code, and everything else is read with `weights_only`. A
    checkpoint that keeps its state dict under `state_dict`, as Lightning's do, under `model`, `model_state_dict` or the
    like is understood, and so is the weights.safetensors that initlab writes (`save=best`). An output layer that has a
    rule of its own (`init.output`) is not loaded, so that a network can be trained on other classes.

    Args:
        model: The network to load into, in place; all its names must be in the file, and no others.
        context: Only the names of an output layer with a rule of its own are used; it needs no batch.
        path: The checkpoint, `.safetensors` or what `torch.save` wrote; must be given.
        prefix: What every name in the file begins with, and the network's do not, e.g. `model.` or `module.`.
        member: Which network of a file that initlab wrote; None: the best of them on validation rows.

    Returns:
        A remark for each parameter and buffer that was loaded, by its name.

    Raises:
        UserError: no path, no such file, a damaged one, one that wants to run code, or names or shapes that do not fit.
    """
    if path is None:
        raise UserError("init=pretrained: name the checkpoint, init.path=FILE")
    path = Path(path)  # a configuration holds a word
    held, place = read_checkpoint(path, member)
    found = {name.removeprefix(prefix): value for name, value in held.items()}
    for names in _shared_names(model):  # a file may hold a shared tensor once
        present = [name for name in names if name in found]
        found |= {name: found[present[0]] for name in names if present and name not in found}
    expected = {name: value for name, value in model.state_dict().items() if name not in context.apart}
    given = {name: value for name, value in found.items() if name not in context.apart}
    problems = [
        _listed("missing", sorted(expected.keys() - given.keys())),
        _listed("unknown", sorted(given.keys() - expected.keys())),
        _listed(
            "of another shape",
            [
                f"{name} {shape_text(given[name])} instead of {shape_text(value)}"
                for name, value in expected.items()
                if name in given and given[name].shape != value.shape
            ],
        ),
    ]
    if any(problems):
        what = "; ".join(problem for problem in problems if problem)
        if prefix_that_fits := _prefix(expected, given):
            what += f"; init.prefix={prefix}{prefix_that_fits} would fit"
        raise UserError(f"init.path={path}: does not fit {type(model).__name__}: {what}")
    model.load_state_dict(given, strict=False)
    return dict.fromkeys(given, f"from {path.name}{f', {place}' if place else ''}")


def where_found(path: str | Path, member: int | None = None) -> str:
    """Where in a checkpoint the weights were found, if not at its top; else empty.

    Args:
        path: The checkpoint.
        member: Which network of a file that initlab wrote; None: the best.

    Raises:
        UserError: as `pretrained` raises it of the file.
    """
    return read_checkpoint(Path(path), member)[1]


def read_checkpoint(path: Path, member: int | None) -> tuple[dict[str, Tensor], str]:
    """Read a state dict without running anything in the file.

    Args:
        path: A `.safetensors` file, or one that `torch.save` wrote; ~ stands for the home folder.
        member: Which network of a file that initlab wrote; None: the best.

    Returns:
        Tensors by name, on the CPU, as they are in the file; and where they were found in it, empty for its top.

    Raises:
        UserError: no such file, a damaged one, or one that holds anything but tensors by name.
    """
    try:
        path = path.expanduser()
        there = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"init.path={path}: no such file ({first_line(error)})") from error
    if not there:
        raise UserError(f"init.path={path}: no such file")
    try:
        loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_tensors(path)
    except pickle.UnpicklingError as error:
        if zipfile.is_zipfile(path) or "nsupported" in str(error):
            raise UserError(
                f"init.path={path}: wants to run code, or holds more than tensors; save model.state_dict() alone"
            ) from error
        raise UserError(f"init.path={path}: damaged, or no checkpoint") from error
    except UserError:
        raise
    except Exception as error:  # damaged files bring about errors of any kind
        raise UserError(
            f"init.path={path}: damaged, or no checkpoint ({type(error).__name__}: {first_line(error)})"
        ) from error
    if path.suffix == ".safetensors" and loaded and all(MEMBER.match(name) for name in loaded):
        return _of_member(path, loaded, member)
    if member is not None:
        raise UserError(f"init.member={member}: {path} is no file of initlab's with several networks")
    for key in ("", *NESTED):
        state = loaded.get(key) if key and isinstance(loaded, Mapping) else loaded
        if isinstance(state, Mapping) and state and all(_is_weight(name, value) for name, value in state.items()):
            return dict(state), f"under {key!r}" if key else ""
    raise UserError(f"init.path={path}: holds no state dict: expected tensors by name")


def _is_weight(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta


def _of_member(path: Path, loaded: Mapping[str, Tensor], member: int | None) -> tuple[dict[str, Tensor], str]:
    """The tensors of one network of a file that initlab wrote, and which one it is.

    Raises:
        UserError: it is not there.
    """
    from safetensors import safe_open

    members = sorted({int(name.partition("/")[0]) for name in loaded})
    with safe_open(path, framework="pt") as held:
        best = int((held.metadata() or {}).get("best", members[0]))
    chosen = best if member is None else member
    if chosen not in members:
        raise UserError(f"init.member={chosen}: {path} has the members {', '.join(map(str, members))}")
    own = {name.partition("/")[2]: value for name, value in loaded.items() if name.startswith(f"{chosen}/")}
    return own, f"member {chosen}{', the best' if chosen == best else ''}"


def _read_tensors(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other pickle protocols: what it cannot read it refuses
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise UserError(f"init.path={path}: to read it, install initlab[safetensors]") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _shared_names(model: nn.Module) -> list[list[str]]:
    """The names of each tensor that has several, as tied weights have."""
    names: dict[int, list[str]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        names.setdefault(id(value), []).append(name)
    return [shared for shared in names.values() if len(shared) > 1]


def _prefix(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What to take off the names in a file so that they fit; empty if no prefix would do.

    Args:
        expected: The network's tensors by name; there are none where all are the output layer's own.
        given: The tensors in the file by name.
    """
    first = next(iter(expected), "")
    for name in given:
        prefix = name.removesuffix(first)
        if first and prefix and prefix != name and all(prefix + other in given for other in expected):
            return prefix
    return ""


def _listed(kind: str, names: Sequence[str]) -> str:
    """How many parameters are of some kind, and the names of the first of them; empty if there are none.

    Args:
        kind: What is wrong with them, e.g. `"missing"`.
        names: Their names, with more about each if need be.
    """
    if not names:
        return ""
    return f"{len(names)} {kind} ({', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''})"


def shape_text(tensor: Tensor) -> str:
    """Its shape in words: `64×32`."""
    return "×".join(map(str, tensor.shape)) or "scalar"
