"""Which activation a module is: by its class where that is registered, else by what it computes."""

import functools
import inspect
import math
from collections.abc import Callable, Hashable, Mapping
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules import activation as torch_activations

from initlab.activations.registry import ACTIVATIONS, Activation
from initlab.activations.trial import (
    COARSE,
    REACH,
    Function,
    alike,
    by_channel,
    copy_to_try,
    elementwise,
    function_of,
    grid,
    has_state,
    is_affine,
    settings_of,
    without_trace,
)

# Of torch's activation modules, those that are no function of each number by itself.
MIXING: Final = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax, nn.GLU)
BENDING: Final = tuple(
    kind for name in torch_activations.__all__ if not issubclass(kind := getattr(torch_activations, name), MIXING)
)
# Constructor arguments that do not change what is computed, or only what it is before it is learned.
NO_PARAMETERS: Final = frozenset(
    {"inplace", "num_parameters", "init", "device", "dtype", "min_value", "max_value"}  # the last two by older names
)
# Torch's functions, with their defaults, by the names of what they compute.
TORCH_FUNCTIONS: Final[Mapping[Callable[..., Any], str]] = MappingProxyType(
    {
        F.relu: "relu",
        torch.relu: "relu",
        torch.tanh: "tanh",
        F.tanh: "tanh",
        torch.sigmoid: "sigmoid",
        F.sigmoid: "sigmoid",
        F.gelu: "gelu",
        F.silu: "silu",
        F.mish: "mish",
        F.elu: "elu",
        F.selu: "selu",
        F.softplus: "softplus",
        F.leaky_relu: "leaky_relu",
        F.softsign: "softsign",
        F.hardtanh: "hardtanh",
        F.relu6: "relu6",
        F.hardswish: "hardswish",
        F.hardsigmoid: "hardsigmoid",
    }
)


def activation_of(module: nn.Module) -> Activation | None:
    """The registered activation that a module computes, with its parameters; None if it is none of them.

    A module of another library is tried on a grid of numbers: it counts as what computes the same there. That leaves no
    trace in it, nor in anything else, whatever it does. Only a module without modules inside is tried. One with learned
    numbers is none of those that are registered, unless it is a PReLU.

    Example:
        >>> class Swish(nn.Module):
        ...     def forward(self, x):
        ...         return x * torch.sigmoid(x)
        >>> activation_of(Swish()), activation_of(nn.Linear(2, 2))
        (Activation(name='silu', parameters={}), None)
    """
    known = _by_class(module)
    if known is None:
        computed = _computed(module)
        known = computed if isinstance(computed, Activation) else None
    return known


def nonlinearity_of(module: nn.Module) -> Activation | str | None:
    """The nonlinear function that a module applies to each number by itself.

    Returns:
        The registered activation; the name of the module's class where the function is not registered; None if the
        module is something else: a layer, a softmax, or what bends nothing, as the identity and a factor.
    """
    known = _by_class(module)
    if known is not None:
        return None if known.name == "identity" else known
    computed = _computed(module)
    if computed is None and isinstance(module, BENDING):
        return type(module).__name__
    return computed


def _by_class(module: nn.Module) -> Activation | None:
    """What a module of a registered class computes; None where its settings cannot be read from its attributes.

    Parameters at their defaults are left out, so that modules of different libraries that compute the same are equal. A
    PReLU has one slope here: one whose learned slopes differ is none.
    """
    if type(module) is nn.PReLU or (isinstance(module, nn.PReLU) and _is_prelu(module)):
        slopes = set(module.weight.detach().flatten().tolist())
        usual = slopes == {inspect.signature(nn.PReLU).parameters["init"].default}
        return Activation("prelu", {} if usual else {"init": slopes.pop()}) if len(slopes) == 1 else None
    for name, kind in ACTIVATIONS.items():
        if type(module) is kind.build:
            declared = _declared(name)
            read = sorted(declared.keys() - NO_PARAMETERS)
            if not all(hasattr(module, key) for key in read):
                return None
            values = {key: getattr(module, key) for key in read}
            learned = {key for key, value in values.items() if isinstance(value, Tensor)}
            own = {key for key in values.keys() - learned if values[key] != declared[key].default}
            return Activation(name, {key: values[key] for key in sorted(own)})
    return None


@functools.cache
def _declared(name: str) -> Mapping[str, inspect.Parameter]:
    """What the class of a registered activation takes; kept, as a deep network asks for it hundreds of times."""
    return inspect.signature(ACTIVATIONS[name].build).parameters


def _is_prelu(module: nn.PReLU) -> bool:
    """Whether a subclass computes what PReLU does, by trial."""
    plain = nn.PReLU(module.num_parameters, device="cpu", dtype=module.weight.dtype)
    plain.weight.data.copy_(module.weight.detach())
    with without_trace():
        values, expected = by_channel(module), by_channel(plain)
    return values is not None and expected is not None and alike(values, expected)


# What modules compute, by their class, their settings and the registered names. It holds no module.
_KNOWN: WeakKeyDictionary[type[nn.Module], dict[Hashable, Activation | str | None]] = WeakKeyDictionary()


def _computed(module: nn.Module) -> Activation | str | None:
    """The same as `nonlinearity_of`, by trial alone."""
    kind = type(module)
    scripted = isinstance(module, torch.jit.ScriptModule)
    if kind.__module__.startswith("torch.") and kind not in BENDING and not scripted:
        return None
    if has_state(module):
        return _name_of(module) if _bends(module) else None
    if scripted:  # all are of one class
        return _tried(module)
    try:
        key = (tuple(ACTIVATIONS), _plain(settings_of(module), module))
    except (_NotPlainError, RecursionError):
        return _tried(module)
    known = _KNOWN.setdefault(kind, {})
    if key not in known:
        known[key] = _tried(module)
    return known[key]


def _bends(module: nn.Module) -> bool:
    """Whether a module with learned numbers is a nonlinear function of each number, by trial."""
    with without_trace():
        values = by_channel(module)
        return values is not None and not all(is_affine(each, every=COARSE) for each in values.unbind(1))


def _name_of(module: nn.Module) -> str:
    return str(module.original_name) if isinstance(module, torch.jit.ScriptModule) else type(module).__name__


def _tried(module: nn.Module) -> Activation | str | None:
    other = copy_to_try(module)
    if other is None:
        return None
    with without_trace():
        values, in_training = (elementwise(other, training=training) for training in (False, True))
        if values is None or is_affine(values):
            return None
        name = _name_of(module)
        if in_training is None or not alike(values, in_training):  # as RReLU, which draws its slope
            return name
        return _same(values, function_of(other)) or name


def _same(values: Tensor, function: Function) -> Activation | None:
    """The registered activation that has these values on the grid.

    Args:
        values: φ on the grid.
        function: φ itself, from which the parameters of some activations are read.
    """
    points = grid()
    # What learns is not the same as what computes the same before it does.
    plain = [Activation(name) for name in ACTIVATIONS if name not in ("identity", "prelu")]
    for candidate in [*plain, Activation("gelu_tanh")]:
        if alike(values, candidate.function(points)):
            return candidate
    for name, read in READERS.items():
        try:
            fitted = Activation(name, read(function))
            if alike(values, fitted.function(points)):
                return fitted
        except (ValueError, ArithmeticError):  # parameters that this activation cannot have
            continue
    return None


def _at(function: Function, z: float) -> float:
    return float(function(torch.tensor([z], dtype=torch.float64, device="cpu")))


def _rounded(value: float) -> float:
    """To six digits: single precision has hardly more."""
    return float(f"{value:.6g}")


def _softplus(function: Function) -> dict[str, float]:
    beta = _rounded(math.log(2) / _at(function, 0.0))
    if beta <= 0:  # as with the logarithm of a sigmoid
        raise ValueError("a softplus rises from 0")
    return {"beta": beta}


def _hardtanh(function: Function) -> dict[str, float]:
    low, high = (_rounded(_at(function, z)) for z in (-REACH, REACH))
    if not -REACH < low < high < REACH:
        raise ValueError("a hardtanh rises from one level to another")
    return {"min_val": low, "max_val": high}


# How to read the parameters of an activation from its values.
READERS: Final[Mapping[str, Callable[[Function], dict[str, float]]]] = MappingProxyType(
    {
        "leaky_relu": lambda function: {"negative_slope": _rounded(-_at(function, -1.0))},
        "elu": lambda function: {"alpha": _rounded(_at(function, -1.0) / math.expm1(-1.0))},
        "softplus": _softplus,
        "hardtanh": _hardtanh,
        "sine": lambda function: {"omega": _rounded(math.asin(_at(function, 1e-3)) / 1e-3)},
    }
)


class _NotPlainError(Exception):
    """A setting that cannot stand in a key without holding on to something."""


def _plain(value: object, module: nn.Module) -> Hashable:
    """A setting as a key: equal for equal ones, and without a reference to the module.

    Raises:
        _NotPlainError: there is no such key, as for a tensor, or a function that was made within another.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype):
        return type(value), value
    if isinstance(value, list | tuple | dict):
        entries = value.items() if isinstance(value, dict) else value
        return type(value), tuple(_plain(entry, module) for entry in entries)
    if isinstance(value, functools.partial):
        return "partial", *(_plain(part, module) for part in (value.func, value.args, value.keywords))
    if isinstance(value, MethodType) and value.__self__ is module:
        return "method", _plain(value.__func__, module)
    if isinstance(value, FunctionType) and not value.__closure__:
        defaults = _plain(value.__defaults__, module), _plain(value.__kwdefaults__, module)
        return value.__module__, value.__code__, *defaults
    if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType | type | None):
        return value
    raise _NotPlainError(type(value).__name__)
