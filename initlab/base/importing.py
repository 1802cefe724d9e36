"""Importing what is heavy: torch, Lightning, pandas and what they bring, most of the time that a command takes."""

import gc
import importlib
import sys
from types import ModuleType
from typing import Final

# What every job needs, the quicker ones first, so that between them there may be looked after something else.
LIBRARIES: Final = ("numpy", "pandas", "scipy.sparse", "scipy.optimize", "scipy.stats", "sklearn.model_selection")


def load(name: str) -> ModuleType:
    """Import a module of initlab's or one of `LIBRARIES`, and all that it imports, without Python's garbage collector.

    What modules hold lives as long as the process, half a million objects. Collections would go through all of them
    again and again, for a fifth of the time that importing takes, and find next to nothing; nor has any later
    collection anything to look for there.

    A module of the user's own, and one that was imported before, is imported as by any `import`.

    Example:
        >>> load("initlab.base.wording").counted(2, "job")
        '2 jobs'

    Args:
        name: Dotted name of the module.

    Raises:
        ImportError: it cannot be imported; or whatever else its own code raises.
    """
    if not (name.startswith("initlab.") or name in LIBRARIES) or name in sys.modules or not gc.isenabled():
        return importlib.import_module(name)
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()
