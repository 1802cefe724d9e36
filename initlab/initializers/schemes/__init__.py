"""The schemes, a file for each one or each family. Importing this package registers all of them."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):  # a new file needs no line here
    importlib.import_module(f"{__name__}.{_module.name}")
