"""What a module makes of a grid of numbers: tried on a copy of it, so that no trace is left in the module."""

import contextlib
import copy
import inspect
import io
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

REACH: Final = 10.0  # what a function does to numbers beyond, which signals hardly are, is not looked at
GRID: Final = np.linspace(-REACH, REACH, 240)
SHAPES: Final = ((12, 20), (20, 12))
# The same numbers at other places, beside others, in the other shape.
ORDERS: Final = (np.arange(240), np.random.default_rng(0).permutation(240))
# Wider than what single precision makes of a formula, narrower than what one formula for GELU is off another.
RELATIVE: Final = 1e-5
ABSOLUTE: Final = 1e-6
COARSE: Final = 10  # every so many numbers of the grid tell whether something bends
PLACES: Final = (3, 1)
MODULE_STATE: Final = frozenset(vars(nn.Module()))

Function = Callable[[Tensor], Tensor]


def grid() -> Tensor:
    """The numbers that modules are compared on, shape (240,), float64, ascending from -10 to 10."""
    return torch.tensor(GRID, dtype=torch.float64, device="cpu")


def alike(one: Tensor, other: Tensor) -> bool:
    """Whether two functions that gave these values on the grid count as one."""
    return torch.allclose(one, other, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)


def is_affine(values: Tensor, *, every: int = 1) -> bool:
    """Whether a function is a + b·z on the grid, so that it bends nothing.

    Args:
        values: What it gave there.
        every: Of how many numbers of the grid one was tried.
    """
    points = grid()[::every]
    slope = (values[-1] - values[0]) / (points[-1] - points[0])
    return alike(values, values[0] + slope * (points - points[0]))


@contextlib.contextmanager
def without_trace() -> Iterator[None]:
    """Run what may draw random numbers, warn or print: randomness is put back, and nothing is shown."""
    python, numpy = random.getstate(), np.random.get_state()
    with (
        torch.random.fork_rng(devices=[]),
        torch.no_grad(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def settings_of(module: nn.Module) -> dict[str, object]:
    """What a module holds beside what every module has: its own attributes."""
    return {name: value for name, value in vars(module).items() if name not in MODULE_STATE}


def has_state(module: nn.Module) -> bool:
    """Whether a module has parameters, buffers or modules inside."""
    parts = module.parameters(), module.buffers(), module.children()
    return any(next(iter(part), None) is not None for part in parts)


def copy_to_try(module: nn.Module) -> nn.Module | None:
    """A copy of a module without modules in it that shares nothing with it, nor its hooks; its tensors are on the CPU.

    None if the module does not take a single tensor, hides modules in its settings, or holds what cannot be copied.
    """
    settings = settings_of(module)
    try:
        inspect.signature(module.forward).bind(None)
        if isinstance(module, torch.jit.ScriptModule):  # whose parts are not in its attributes
            return copy.deepcopy(module)
        if any(isinstance(leaf, nn.Module) for leaf in tree_leaves(settings)):
            return None
        other: nn.Module = object.__new__(type(module))
        nn.Module.__init__(other)
        for kept in ("_parameters", "_buffers", "_modules"):  # some are names that stand for None
            vars(other)[kept].update({name: _copied(part) for name, part in vars(module)[kept].items()})
        memo: dict[int, object] = {id(module): other}
        vars(other).update({name: copy.deepcopy(value, memo) for name, value in settings.items()})
    except Exception:  # whatever a module is made of
        return None
    return other


def _copied(tensor: Tensor | None) -> Tensor | None:
    if tensor is None:
        return None
    values = tensor.detach().to("cpu", copy=True)
    return nn.Parameter(values, requires_grad=False) if isinstance(tensor, nn.Parameter) else values


def elementwise(module: nn.Module, *, training: bool) -> Tensor | None:
    """What a module makes of each number of the grid, shape (240,), float64; None if it is no elementwise function.

    It is called within `without_trace`, on a module that nothing else uses.

    Args:
        module: It is called by its `forward`, so that no hook runs.
        training: The mode that it is in.
    """
    module.training = training
    found = []
    for shape, order in zip(SHAPES, ORDERS, strict=True):
        values = _applied(module, grid()[torch.from_numpy(order)].reshape(shape))
        if values is None:
            return None
        found.append(torch.empty_like(values).scatter_(0, torch.from_numpy(order), values))
    first, second = found
    return first if alike(first, second) else None


def by_channel(module: nn.Module) -> Tensor | None:
    """What a module with learned numbers makes of each number of a coarse grid, shape (numbers, channels), float64.

    None if it is no function of each number by itself and its channel, as a norm is none; or if its tensors are
    something else than one number, or one for each channel. Channels are the second dimension. It is called within
    `without_trace`, and tries a copy.

    Args:
        module: Any module.
    """
    channels = _channels(module)
    other = None if channels is None else copy_to_try(module)
    if channels is None or other is None:
        return None
    other.training = False
    points = grid()[::COARSE]
    drawn = np.random.default_rng(0).integers(len(points), size=(len(points), channels))
    first, second = points[:, None].expand(-1, channels), points[torch.from_numpy(drawn)]
    for places in PLACES:
        values, others = (_by_channel(other, entering, places) for entering in (first, second))
        if values is not None and others is not None:
            return values if alike(values.gather(0, torch.from_numpy(drawn)), others) else None
    return None


def _channels(module: nn.Module) -> int | None:
    """For how many channels a module has numbers, at least 2; None if they are of another kind, or in modules in it."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    plain = all(type(tensor) in (Tensor, nn.Parameter) and not tensor.is_meta for tensor in tensors)
    if not tensors or not plain or next(module.children(), None) is not None:
        return None
    sizes = {size for tensor in tensors for size in tensor.shape} | {1}
    if len(sizes) > 2 or any(tensor.numel() not in sizes for tensor in tensors):
        return None
    # Where one number is for all, several channels tell whether the module mixes them.
    return max(2, *sizes)


def _by_channel(module: nn.Module, points: Tensor, places: int) -> Tensor | None:
    """What a module makes of numbers, shape (numbers, channels), at so many places of a row; 1 has no dimension."""
    count, channels = points.shape
    entering = points.reshape(count // places, places, channels).transpose(1, 2) if places > 1 else points
    values = _applied(module, entering)
    if values is None:
        return None
    leaving = values.reshape(entering.shape)
    return (leaving.transpose(1, 2) if places > 1 else leaving).reshape(count, channels)


def function_of(module: nn.Module) -> Function:
    """φ of a module that `elementwise` found to be one, in evaluation mode: from and to float64, any shape."""

    def function(z: Tensor) -> Tensor:
        module.training = False
        values = _applied(module, z.reshape(1, -1))
        assert values is not None
        return values.reshape(z.shape)

    return function


def _applied(module: nn.Module, points: Tensor) -> Tensor | None:
    """What a module makes of numbers, flat, float64: in double precision, or in single if it must."""
    for dtype in (torch.float64, torch.float32):
        try:
            values = module.to(dtype).forward(points.to(dtype, copy=True))
        except (Exception, SystemExit):  # whatever a module does
            continue
        if isinstance(values, Tensor) and values.shape == points.shape and values.is_floating_point():
            return values.detach().reshape(-1).double()
    return None
