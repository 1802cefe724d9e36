"""Weight initializers: plain functions that fill a weight, or change a whole network, in one registry.

A scheme is one function in `initializers/schemes/`, which registers it. The rest of this package is what schemes need
and how they are applied: `registry` (what a scheme is), `slots` (which weights a network has), `facts` (what these are
for), `apply` (which weight gets what), `api` (the one call for users).
"""

import initlab.initializers.schemes  # noqa: F401  # registers them
from initlab.initializers.apply import fill_model, initialize_model
from initlab.initializers.context import Context
from initlab.initializers.facts import Facts, Role
from initlab.initializers.filling import Surroundings
from initlab.initializers.init_report import InitReport, ParameterRow
from initlab.initializers.registry import Scheme, find_scheme, list_initializers, register
from initlab.initializers.rules import Recipe
from initlab.initializers.spec import InitSpec, parse_init

__all__ = [
    "Context",
    "Facts",
    "InitReport",
    "InitSpec",
    "ParameterRow",
    "Recipe",
    "Role",
    "Scheme",
    "Surroundings",
    "fill_model",
    "find_scheme",
    "initialize_model",
    "list_initializers",
    "parse_init",
    "register",
]
