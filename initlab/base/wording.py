"""Numbers and lists as people read them."""

import math
from collections.abc import Sequence

import numpy as np


def interval_text(mean: float, low: float = math.nan, high: float = math.nan) -> str:
    """A mean and its interval: `0.972 [0.961, 0.983]`; without an interval the mean, a dash where there is none."""
    if not np.isfinite(mean):
        return "—"
    largest = max(abs(value) for value in (mean, low, high) if np.isfinite(value))
    style = "z.3f" if abs(mean) < 100 else ".0f"
    if mean > 0 and largest < 0.01:  # a small loss, of which three digits would leave nothing to compare
        style = f".{1 - math.floor(math.log10(largest))}f" if largest > 1e-5 else ".1e"
    elif largest >= 1e6:
        style = ".1e"
    if not np.isfinite(low):
        return f"{mean:{style}}"
    return f"{mean:{style}} [{low:{style}}, {high:{style}}]"


def difference_text(mean: float, low: float = math.nan, high: float = math.nan) -> str:
    """A difference of scores and its interval, in enough digits to tell it from zero."""
    if not np.isfinite(mean):
        return "—"
    digits = 3 if np.nanmax(np.abs([mean, low, high])) >= 0.02 else 4
    ends = f" [{low:z.{digits}f}, {high:z.{digits}f}]" if np.isfinite(low) else ""
    return f"{mean:z.{digits}f}{ends}"


def p_text(p: float) -> str:
    """A p value, never rounded down to what it is not."""
    if not np.isfinite(p):
        return "—"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def p_words(p: float) -> str:
    """A p value in a sentence."""
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def epochs_text(epochs: float) -> str:
    """A number of epochs, `never` if infinite."""
    if np.isnan(epochs):
        return "—"
    return f"{epochs:.0f}" if np.isfinite(epochs) else "never"


def counted(number: int, what: str) -> str:
    """A number of things in words: `1 job`, `2 jobs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def listed(items: Sequence[str], most: int = 6) -> str:
    """Things in a row of words: `a, b and c`; of many the first ones, `and 7 more`."""
    if len(items) > most:
        return f"{', '.join(items[: most - 1])} and {len(items) - most + 1} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def rate_text(rate: float) -> str:
    """A learning rate in three digits: `0.0316`."""
    return shortest(float(f"{rate:.3g}"))


def shortest(value: object) -> str:
    """A configuration value as text, numbers in their shortest form that is exact."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)
