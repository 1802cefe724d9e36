"""Checks of the parameters that a user sets."""

from initlab.base.errors import UserError


def check_positive(**values: float) -> None:
    """Refuse a parameter that is not above 0.

    Args:
        **values: The parameters by name; NaN is refused, too.

    Raises:
        UserError: naming the first that is not above 0.
    """
    for name, value in values.items():
        if not value > 0:
            raise UserError(f"init.{name}={value}: expected a positive number")


def check_not_negative(**values: float) -> None:
    """Refuse a parameter below 0.

    Args:
        **values: The parameters by name; NaN is refused, too.

    Raises:
        UserError: naming the first that is below 0.
    """
    for name, value in values.items():
        if not value >= 0:
            raise UserError(f"init.{name}={value}: expected a number that is not negative")


def check_choice(name: str, value: str, *allowed: str) -> None:
    """Refuse a parameter that is none of the words that are allowed.

    Args:
        name: The parameter's name, for the message.
        value: The word that the user set it to.
        *allowed: The words to choose from.

    Raises:
        UserError: naming the parameter and the words that are allowed.
    """
    if value not in allowed:
        raise UserError(f"init.{name}={value}: expected one of {', '.join(allowed)}")
