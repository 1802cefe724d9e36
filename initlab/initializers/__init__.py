"""Weight initializers: plain functions that fill a weight, in one registry."""

from initlab.initializers import constants, explicit, orthogonal, variance_scaling
from initlab.initializers.apply import InitSpec, initialize_model
from initlab.initializers.registry import Scheme, find_scheme, list_initializers, register

__all__ = [
    "InitSpec",
    "Scheme",
    "constants",
    "explicit",
    "find_scheme",
    "initialize_model",
    "list_initializers",
    "orthogonal",
    "register",
    "variance_scaling",
]
