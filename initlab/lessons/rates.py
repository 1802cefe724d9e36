"""What verdicts say of learning rates: where the best one is the last that was tried."""

from collections.abc import Iterable, Mapping
from typing import Any

from initlab.lessons.reading import named


def at_the_end(kinds: Iterable[tuple[str, Mapping[Any, Any]]]) -> str:
    """A sentence on those kinds of networks whose best rate is the smallest or the largest one tried, or nothing.

    Args:
        kinds: What each is called, and its row of `candidates`.

    Returns:
        The sentence with a space before it, to go on after another.
    """
    ends = [f"{name} ({float(row['rate']):g})" for name, row in kinds if bool(row["at_edge"])]
    if not ends:
        return ""
    return f" The smallest or largest learning rate tried is the best for {named(ends)}; beyond it they may do better."
