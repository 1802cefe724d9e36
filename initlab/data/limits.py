"""Refusing arguments of data sets that are out of range, each in a line."""

import math
from typing import Final

from initlab.base.errors import UserError

LEAST_ROWS: Final = 10  # of which something can be left in three parts
LEAST_STEPS: Final = 2  # one step is no sequence


def at_least(**limits: tuple[float, float]) -> None:
    """Refuse arguments below their least value.

    Example:
        >>> at_least(rows=(500, 10), noise=(0.1, 0))
        >>> at_least(rows=(3, 10))
        Traceback (most recent call last):
            ...
        initlab.base.errors.UserError: data.rows=3: expected at least 10

    Args:
        **limits: By the argument's name, its value and the least that is allowed.

    Raises:
        UserError: naming the first that is too small, infinite or NaN.
    """
    for key, (value, least) in limits.items():
        if not least <= value < math.inf:
            raise UserError(f"data.{key}={value}: expected at least {least}")
