"""Weight initializers: plain functions that fill a weight, or change a whole network, in one registry."""

import importlib
import pkgutil

from initlab.initializers.apply import fill_model, initialize_model
from initlab.initializers.context import Batch, Context
from initlab.initializers.registry import Scheme, find_scheme, list_initializers, register
from initlab.initializers.report import ParameterReport, Report
from initlab.initializers.spec import InitSpec, parse_init

for _module in pkgutil.iter_modules(__path__):  # each registers its schemes: a new file needs no line here
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "Batch",
    "Context",
    "InitSpec",
    "ParameterReport",
    "Report",
    "Scheme",
    "fill_model",
    "find_scheme",
    "initialize_model",
    "list_initializers",
    "parse_init",
    "register",
]
