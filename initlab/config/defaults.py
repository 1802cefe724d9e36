"""What a typed value has to be, as far as the default of its key tells: said at once, before torch is imported."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from initlab.base.errors import UserError
from initlab.config.calls import describe, instead_of_list
from initlab.config.files import default_of
from initlab.config.names import key_of

# Groups whose keys are arguments of a function that only importing torch would tell. The files say enough of them.
OF_FUNCTIONS: Final = ("data", "model", "init", "activation", "optim", "loss", "scheduler")
NAMED_GAINS: Final = ("kaiming", "moment", "derivative")


def check_gain(gain: object) -> None:
    """Refuse a gain that is neither a number nor the name of a rule.

    Args:
        gain: What the user set: a finite number above 0, or one of `NAMED_GAINS`.

    Raises:
        UserError: the gain is neither; the message says what is allowed.
    """
    number = isinstance(gain, int | float) and not isinstance(gain, bool) and 0 < gain < math.inf
    swept = instead_of_list("init.gain", gain)
    if gain not in NAMED_GAINS and not number:
        raise UserError(f"init.gain={gain}: expected a positive number or one of {', '.join(NAMED_GAINS)}{swept}")


def check_typed(resolved: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuse words where a number stands by default, and the like; where the default tells nothing, nothing is refused.

    Args:
        resolved: The composed configuration as plain data.
        overrides: What was typed, `key=value` each.

    Raises:
        UserError: a value of the wrong kind; the message is that of `check_call`, which would find it later.
    """
    typed = {key_of(text) for text in overrides}
    for full in sorted(typed):
        group, _, key = full.partition(".")
        if group not in OF_FUNCTIONS or not key or f"{group}._target_" in typed:
            continue
        held = resolved.get(group, {})
        try:
            default = default_of(group, str(held.get("name")), key, {})
        except KeyError:  # of a plug-in, or no key at all
            continue
        value = held.get(key)
        if full == "init.gain":
            check_gain(value)
        elif not _fits(value, default):
            raise UserError(f"{full}={value}: expected {describe(type(default))}{instead_of_list(full, value)}")


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of the kind of a default; one beyond all doubt alone is not."""
    if value is None or value == "???":
        return True
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True
