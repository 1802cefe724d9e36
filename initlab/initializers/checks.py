"""Checks of what a user sets."""

from initlab.base.errors import UserError


def check_positive(**values: float) -> None:
    """Refuse a parameter that is not above 0; the keywords are the parameters' names.

    Raises:
        UserError: naming the first of them.
    """
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"init.{name}={value}: expected a positive number")


def check_not_negative(**values: float) -> None:
    """Refuse a parameter below 0; the keywords are the parameters' names.

    Raises:
        UserError: naming the first of them.
    """
    for name, value in values.items():
        if not value >= 0:
            raise UserError(f"init.{name}={value}: expected a number that is not negative")


def check_choice(name: str, value: str, *allowed: str) -> None:
    """Refuse a parameter that is none of some words.

    Raises:
        UserError: naming it and them.
    """
    if value not in allowed:
        raise UserError(f"init.{name}={value}: expected one of {', '.join(allowed)}")
