"""Numbers and lists in the words and digits that people read."""

import math
import re
import shlex
from collections.abc import Sequence

BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)")  # within which a comma separates nothing else
MOST_DIGITS = 6  # behind the point, of a difference


def interval_text(mean: float, low: float = math.nan, high: float = math.nan) -> str:
    """A mean and its interval in as many digits as are of use.

    Example:
        >>> interval_text(0.972, 0.961, 0.983), interval_text(0.0004), interval_text(float("nan"))
        ('0.972 [0.961, 0.983]', '0.00040', '—')

    Args:
        mean: A score, a loss or a share; a dash stands for one that is not finite.
        low: Lower end of its interval; NaN where there is none, and the mean is given alone.
        high: Upper end of its interval; NaN where there is none.
    """
    if not math.isfinite(mean):
        return "—"
    mean, low, high = map(settled, (mean, low, high))
    largest = max(abs(value) for value in (mean, low, high) if math.isfinite(value))
    style = "z.3f" if abs(mean) < 100 else ".0f"
    if mean > 0 and largest < 0.01:  # a small loss, of which three digits would leave nothing to compare
        style = f".{1 - math.floor(math.log10(largest))}f" if largest > 1e-5 else ".1e"
    elif largest >= 1e6:
        style = ".1e"
    if not math.isfinite(low):
        return f"{mean:{style}}"
    return f"{mean:{style}} [{low:{style}}, {high:{style}}]"


def difference_text(mean: float, low: float = math.nan, high: float = math.nan) -> str:
    """A difference of two scores and its interval, in three digits, or in more where those could not tell it from zero.

    An end that is not zero does not look like it, so that it is seen whether the interval has zero in it.

    Example:
        >>> difference_text(0.031, 0.012, 0.05), difference_text(0.0012), difference_text(0.03, 0.00004, 0.06)
        ('0.031 [0.012, 0.050]', '0.0012', '0.03000 [0.00004, 0.06000]')

    Args:
        mean: The difference; a dash stands for one that is not finite.
        low: Lower end of its interval; NaN where there is none, and the difference is given alone.
        high: Upper end of its interval; NaN where there is none.
    """
    if not math.isfinite(mean):
        return "—"
    mean, low, high = map(settled, (mean, low, high))
    digits = 3 if max(abs(value) for value in (mean, low, high) if not math.isnan(value)) >= 0.02 else 4
    nearest = min((abs(end) for end in (low, high) if abs(end) > 0.5 * 10**-MOST_DIGITS), default=1.0)
    while round(nearest, digits) == 0:
        digits += 1
    ends = f" [{low:z.{digits}f}, {high:z.{digits}f}]" if math.isfinite(low) else ""
    return f"{mean:z.{digits}f}{ends}"


def settled(value: float) -> float:
    """A number without what the order of a sum leaves in its last digits, so that it is rounded alike everywhere.

    Example:
        >>> f"{0.7975:.3f}", f"{0.7975000000000001:.3f}", f"{settled(0.7975000000000001):.3f}"
        ('0.797', '0.798', '0.797')

    Args:
        value: Any number.
    """
    return float(f"{value:.12g}")


def p_text(p: float) -> str:
    """A p value in two digits; below 0.0001 it says so, rather than round to zero. A dash where there is none."""
    if not math.isfinite(p):
        return "—"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def p_words(p: float) -> str:
    """A p value as it stands in a sentence: `p = 0.018`, `p < 0.0001`."""
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def epochs_text(epochs: float) -> str:
    """A number of epochs: `never` if it is infinite, a dash if it is NaN."""
    if math.isnan(epochs):
        return "—"
    return f"{epochs:.0f}" if math.isfinite(epochs) else "never"


def duration_text(seconds: float) -> str:
    """A time in the unit that people would say it in.

    Example:
        >>> duration_text(0.3), duration_text(41), duration_text(200), duration_text(9000)
        ('1 s', '41 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(number: int, what: str) -> str:
    """A number of things in words: `1 job`, `2 jobs`.

    Args:
        number: How many there are, 0 or more.
        what: One of them, a noun that takes an s in the plural.
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def listed(items: Sequence[str], most: int = 6) -> str:
    """Things in a row of words: `a, b and c`; of many only the first ones, `a, b and 7 more`.

    Example:
        >>> listed(["he", "lsuv", "zeros"]), listed(["tanh, init.std=1", "tanh, init.std=3"])
        ('he, lsuv and zeros', 'tanh, init.std=1; and tanh, init.std=3')

    Args:
        items: The entries, in the order to list them; where one holds a comma, semicolons stand between them.
        most: How many entries the list may have; beyond that the last entry says how many are left out.
    """
    apart = any("," in BRACKETS.sub("", item) for item in items)
    between, last = ("; ", "; and ") if apart else (", ", " and ")
    if len(items) > most:
        return f"{between.join(items[: most - 1])}{last}{len(items) - most + 1} more"
    return last.join(filter(None, [between.join(items[:-1]), *items[-1:]]))


def typed_list(key: str, names: Sequence[str]) -> str:
    """How to type a list of names for a key, so that shell and Hydra take each name as it is.

    Example:
        >>> print(typed_list("data.keep", ["column 1", "größe"]))
        'data.keep=[column 1,"größe"]'
    """
    plain = re.compile(r"(?!(?i:true|false|null|nan|inf)$)[A-Za-z_][\w-]*( [\w-]+)*", re.ASCII)
    escaped = [name if plain.fullmatch(name) else '"' + name.replace('"', '\\"') + '"' for name in names]
    return shlex.quote(f"{key}=[{','.join(escaped)}]")


def rate_text(rate: float) -> str:
    """A learning rate, rounded to three digits: `0.0316`."""
    return shortest(float(f"{rate:.3g}"))


def shortest(value: object) -> str:
    """A configuration value as text; a number in its shortest form, if that is exact."""
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)


def roughly(count: float) -> str:
    """A whole number that is a guess, to two digits.

    Example:
        >>> roughly(1712), roughly(21)
        ('1,700', '21')
    """
    return f"{float(f'{count:.2g}'):,.0f}"
