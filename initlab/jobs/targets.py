"""The function or class that a group's `_target_` names, ready to be called."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from hydra.utils import instantiate

from initlab.config.calls import check_call, import_target

# What a network's constructor is given, as far as it declares it.
SUPPLIED_TO_MODELS: Final = ("input_shape", "out_features", "num_classes", "activation", "vocabulary", "every_step")


def target(group: str, config: Mapping[str, Any]) -> Callable[..., Any]:
    """The function or class that a group's `_target_` names, with the arguments of the group bound.

    Args:
        group: Name of the group: `"data"`, `"model"` or `"logger"`. The arguments that the program passes to models and
            loggers itself must not be among those of the group.
        config: The group. Its `_target_` is no argument, nor is its `name`, except for loggers, nor `resplit` of data.

    Raises:
        UserError: the target cannot be imported, or does not take such an argument.
    """
    function = import_target(config.get("_target_"), where=group)
    offered = {"model": SUPPLIED_TO_MODELS, "logger": ("save_dir",)}.get(group, ())
    supplied = [name for name in offered if name in inspect.signature(function).parameters]
    labels = {"logger": ("_target_",), "data": ("_target_", "name", "resplit")}.get(group, ("_target_", "name"))
    arguments = {key: value for key, value in config.items() if key not in labels}
    check_call(function, arguments, where=group, supplied=supplied)
    if any(isinstance(value, Mapping | list) for value in arguments.values()):  # which may have targets of their own
        arguments = instantiate(arguments, _convert_="all")
    return partial(function, **arguments)
