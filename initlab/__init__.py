"""initlab: which weight initialization should this network start from?

initialize(model, "lsuv", batch=images, seed=0)    fill a network's weights, and say what was done to each
probe_model(model, batch, seed=0, scheme="he")     what a scheme does to signal and gradient, and what theory says
list_initializers()                                every registered scheme by its name
register_initializer(name, source=…)               decorate a function to add one's own
register_activation(name, build, kinks=…)          the same for a nonlinearity
register_layer(kind, describe)                     say which weights a kind of module holds
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from initlab.activations import register_activation as register_activation
    from initlab.initializers import list_initializers as list_initializers
    from initlab.initializers import register as register_initializer
    from initlab.initializers.api import initialize as initialize
    from initlab.initializers.layers import register_layer as register_layer
    from initlab.propagation.probe import probe_model as probe_model

__version__ = "0.1.0"
__all__ = [
    "initialize",
    "list_initializers",
    "probe_model",
    "register_activation",
    "register_initializer",
    "register_layer",
]

_FOUND_IN = {
    "initialize": ("initlab.initializers.api", "initialize"),
    "probe_model": ("initlab.propagation.probe", "probe_model"),
    "list_initializers": ("initlab.initializers", "list_initializers"),
    "register_activation": ("initlab.activations", "register_activation"),
    "register_initializer": ("initlab.initializers", "register"),
    "register_layer": ("initlab.initializers.layers", "register_layer"),
}


def __getattr__(name: str) -> Any:
    """Import torch only once something of it is asked for: the command line answers --help without it."""
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _FOUND_IN[name]
    return getattr(importlib.import_module(module), attribute)
