"""Activations: the registry of those that have a name, and how the modules of any library are recognised."""

from initlab.activations.recognize import TORCH_FUNCTIONS, activation_of, nonlinearity_of
from initlab.activations.registry import (
    ACTIVATIONS,
    ALIASES,
    BUILT_IN,
    Activation,
    ActivationKind,
    TorchGain,
    register_activation,
)

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "BUILT_IN",
    "TORCH_FUNCTIONS",
    "Activation",
    "ActivationKind",
    "TorchGain",
    "activation_of",
    "nonlinearity_of",
    "register_activation",
]
