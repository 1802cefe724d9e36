"""The activation registry: what the configuration's `activation` group can name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError, nearest
from initlab.base.spellings import our_value


class Sine(nn.Module):
    """sin(omega · z), as in SIREN (Sitzmann et al. 2020, arXiv:2006.09661)."""

    def __init__(self, omega: float = 30.0) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it to each entry."""
        return torch.sin(self.omega * inputs)


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


ACTIVATIONS: Mapping[str, ActivationKind] = {
    "relu": ActivationKind(nn.ReLU, kinks=(0.0,), torch_gain="relu"),
    "leaky_relu": ActivationKind(nn.LeakyReLU, kinks=(0.0,), torch_gain="leaky_relu", gain_parameter="negative_slope"),
    # The slope is learned and may turn negative, so that pooling need not commute with it.
    "prelu": ActivationKind(nn.PReLU, monotone=False, kinks=(0.0,)),
    "elu": ActivationKind(nn.ELU, kinks=(0.0,), saturates=True),
    "selu": ActivationKind(nn.SELU, kinks=(0.0,), torch_gain="selu", saturates=True),
    "gelu": ActivationKind(nn.GELU, monotone=False),
    "silu": ActivationKind(nn.SiLU, monotone=False),
    "mish": ActivationKind(nn.Mish, monotone=False),
    "tanh": ActivationKind(nn.Tanh, torch_gain="tanh", saturates=True),
    "sigmoid": ActivationKind(nn.Sigmoid, torch_gain="sigmoid", saturates=True),
    "softsign": ActivationKind(nn.Softsign, kinks=(0.0,), saturates=True),
    "softplus": ActivationKind(nn.Softplus),
    "hardtanh": ActivationKind(nn.Hardtanh, kinks=("min_val", "max_val"), saturates=True),
    "sine": ActivationKind(Sine, monotone=False, saturates=True),
    "identity": ActivationKind(nn.Identity, torch_gain="linear"),
}


@dataclass(frozen=True)
class Activation:
    """A nonlinearity with its parameters, as a network and an initializer need it."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse an unknown name.

        Raises:
            UserError: `name` is not registered.
        """
        if self.name not in ACTIVATIONS:
            ours = our_value("activation", self.name)
            hint = nearest(self.name, ACTIVATIONS) if ours is None else f"here it is {ours}"
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


def activation_of(module: nn.Module) -> Activation | None:
    """The registered activation that a module computes, with its parameters; None if it is none of them.

    A PReLU has one slope here: none of them is one whose learned slopes differ.
    """
    if type(module) is nn.PReLU:
        slopes = module.weight.detach().flatten().tolist()
        return Activation("prelu", {"init": slopes[0]}) if len(set(slopes)) == 1 else None
    for name, kind in ACTIVATIONS.items():
        if type(module) is kind.build:
            takes = inspect.signature(kind.build).parameters.keys() - {"inplace", "num_parameters", "init"}
            return Activation(name, {key: getattr(module, key) for key in sorted(takes) if hasattr(module, key)})
    return None
