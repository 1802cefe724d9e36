"""The activation registry: what the configuration's `activation` group can name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from initlab.activations.modules import QuickGELU, Sine, SquaredReLU
from initlab.activations.trial import alike, elementwise, is_affine, without_trace
from initlab.base.errors import UserError, nearest
from initlab.base.spellings import our_value

TorchGain = Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


@dataclass(frozen=True)
class ActivationKind:
    """One registered nonlinearity.

    Attributes:
        build: Makes the module; its keyword arguments are the activation's parameters.
        monotone: Whether φ never decreases at the usual parameters, and cannot learn to.
        kinks: Where φ or φ' is not smooth: a number, or the parameter that holds it.
        torch_gain: The name that `torch.nn.init.calculate_gain` knows it under, if it does.
        gain_parameter: Which of its parameters `calculate_gain` takes.
        saturates: Whether it flattens at a level that it is driven to, as tanh does. Not so rectifiers, which are off
            where they are flat, and doing what they are for; dead units are counted by themselves.
    """

    build: Callable[..., nn.Module]
    monotone: bool = True
    kinks: tuple[float | str, ...] = ()
    torch_gain: TorchGain | None = None
    gain_parameter: str | None = None
    saturates: bool = False

    @property
    def defaults(self) -> dict[str, Any]:
        """The parameters that a configuration may set, with their defaults."""
        declared = inspect.signature(self.build).parameters.values()
        named = (p for p in declared if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        return {p.name: p.default for p in named if p.name not in ("inplace", "device", "dtype")}


_KINDS: dict[str, ActivationKind] = {
    "relu": ActivationKind(nn.ReLU, kinks=(0.0,), torch_gain="relu"),
    "leaky_relu": ActivationKind(nn.LeakyReLU, kinks=(0.0,), torch_gain="leaky_relu", gain_parameter="negative_slope"),
    # The slope is learned and may turn negative, so that pooling need not commute with it.
    "prelu": ActivationKind(nn.PReLU, monotone=False, kinks=(0.0,)),
    "relu6": ActivationKind(nn.ReLU6, kinks=(0.0, 6.0)),
    "squared_relu": ActivationKind(SquaredReLU, kinks=(0.0,)),
    "elu": ActivationKind(nn.ELU, kinks=(0.0,), saturates=True),
    "selu": ActivationKind(nn.SELU, kinks=(0.0,), torch_gain="selu", saturates=True),
    "gelu": ActivationKind(nn.GELU, monotone=False),
    "quick_gelu": ActivationKind(QuickGELU, monotone=False),
    "silu": ActivationKind(nn.SiLU, monotone=False),
    "hardswish": ActivationKind(nn.Hardswish, monotone=False, kinks=(-3.0, 3.0)),
    "mish": ActivationKind(nn.Mish, monotone=False),
    "tanh": ActivationKind(nn.Tanh, torch_gain="tanh", saturates=True),
    "sigmoid": ActivationKind(nn.Sigmoid, torch_gain="sigmoid", saturates=True),
    "hardsigmoid": ActivationKind(nn.Hardsigmoid, kinks=(-3.0, 3.0), saturates=True),
    "softsign": ActivationKind(nn.Softsign, kinks=(0.0,), saturates=True),
    "softplus": ActivationKind(nn.Softplus),
    "hardtanh": ActivationKind(nn.Hardtanh, kinks=("min_val", "max_val"), saturates=True),
    "sine": ActivationKind(Sine, monotone=False, saturates=True),
    "identity": ActivationKind(nn.Identity, torch_gain="linear"),
}
ACTIVATIONS: Mapping[str, ActivationKind] = MappingProxyType(_KINDS)
BUILT_IN: Final = frozenset(_KINDS)

# Other names, with the parameters that they stand for; `conf/activation/` has a file for each, too.
ALIASES: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "swish": ("silu", {}),
        "relu2": ("squared_relu", {}),
        "gelu_tanh": ("gelu", {"approximate": "tanh"}),
    }
)


@dataclass(frozen=True)
class Activation:
    """A nonlinearity with its parameters, as a network and an initializer need it.

    Example:
        >>> Activation("swish"), Activation("gelu_tanh") == Activation("gelu", {"approximate": "tanh"})
        (Activation(name='silu', parameters={}), True)
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Put the registered name in place of another one.

        Raises:
            UserError: nothing is registered under `name`.
        """
        if self.name in ALIASES:
            name, meant = ALIASES[self.name]
            object.__setattr__(self, "name", name)
            object.__setattr__(self, "parameters", {**meant, **self.parameters})
        if self.name not in ACTIVATIONS:
            ours = our_value("activation", self.name)
            hint = nearest(self.name, [*ACTIVATIONS, *ALIASES]) if ours is None else f"here it is {ours}"
            raise UserError(f"activation={self.name}: unknown activation; {hint}")

    @property
    def kind(self) -> ActivationKind:
        """The registered record."""
        return ACTIVATIONS[self.name]

    @cached_property
    def monotone(self) -> bool:
        """Whether φ never decreases, so that max-pooling commutes with it."""
        grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
        return self.kind.monotone and bool((self.function(grid).diff() >= 0).all())

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where φ or φ' is not smooth; quadrature is split there."""
        module = self.module()
        return tuple(getattr(module, kink) if isinstance(kink, str) else kink for kink in self.kind.kinks)

    def module(self) -> nn.Module:
        """Build the module, a new one for each place in a network."""
        return self.kind.build(**self.parameters)

    def function(self, z: Tensor) -> Tensor:
        """φ(z), elementwise, without gradient, in the dtype of `z`; a learned parameter has its start value."""
        with torch.no_grad():
            module = self.module().to(z.dtype)
            result: Tensor = module(z)
            return result

    def derivative(self, z: Tensor) -> Tensor:
        """φ'(z), elementwise, in the dtype of `z`; at a kink whichever side autograd takes."""
        with torch.enable_grad():
            points = z.detach().requires_grad_()
            output = self.module().to(z.dtype)(points)
            (slopes,) = torch.autograd.grad(output.sum(), points)
            return slopes


def register_activation(
    name: str,
    build: Callable[..., nn.Module],
    *,
    kinks: tuple[float | str, ...] = (),
    monotone: bool = False,
    torch_gain: TorchGain | None = None,
    gain_parameter: str | None = None,
    saturates: bool = False,
) -> None:
    """Register an activation of one's own: gains, mean-field theory, networks and the probe then know it by its name.

    Modules of its class, and others that compute the same, are recognised in networks.

    Example:
        Found by `plugins=[my_module]`, or by importing the module that does this:

            class Bump(nn.Module):
                def __init__(self, width: float = 1.0):
                    super().__init__()
                    self.width = width

                def forward(self, z):
                    return torch.exp(-((z / self.width) ** 2))

            initlab.register_activation("bump", Bump)

    Args:
        name: The name to find it under; it must be free.
        build: Makes the module: its class, or any function. Its keyword arguments, all with defaults, are the
            activation's parameters; the module keeps each as an attribute of the same name.
        kinks: Where φ or φ' is not smooth, so that integrals are split there: numbers, or names of the module's
            attributes that hold one. Without them moments are wrong in the third digit.
        monotone: Whether φ never decreases, and cannot learn to; networks may then pool before it, which is quicker.
        torch_gain: The name that `torch.nn.init.calculate_gain` knows it under, if it does.
        gain_parameter: Which of its parameters `calculate_gain` takes.
        saturates: Whether it flattens at a level that it is driven to; not what is merely off where it is flat, as a
            rectifier. An input counts as saturated where the slope is below 5 % of the steepest.

    Raises:
        ValueError: the name is taken, `build` makes no module by itself, the module is no function of each number by
            itself, or a kink is none of its attributes.
    """
    if name in ACTIVATIONS or name in ALIASES:
        raise ValueError(f"an activation named {name} is registered already")
    with without_trace():
        module = build()
        if not isinstance(module, nn.Module):
            raise ValueError(f"the activation {name}: expected a torch.nn.Module of {build}, got {module}")
        values, in_training = (elementwise(module, training=training) for training in (False, True))
        if values is None or in_training is None or not alike(values, in_training):
            raise ValueError(f"the activation {name} is no function of each number by itself, the same in both modes")
        if is_affine(values):
            raise ValueError(f"the activation {name} is a + b·z: it bends nothing")
    for kink in kinks:
        if not isinstance(getattr(module, kink, None) if isinstance(kink, str) else kink, int | float):
            raise ValueError(f"the activation {name}: its kink {kink} is neither a number nor an attribute that is one")
    _KINDS[name] = ActivationKind(
        build,
        monotone=monotone,
        kinks=kinks,
        torch_gain=torch_gain,
        gain_parameter=gain_parameter,
        saturates=saturates,
    )
