"""Where a loss starts, beside what a guess costs."""

import math
from typing import Final

# How many times the loss of outputs of zero is far. He's own output layer leaves a regression of variance 1 at three.
FAR: Final = 4.0


def is_far(measured: float, chance: float) -> bool:
    """Whether a first loss is far above that of outputs of zero; not where one of them cannot be told.

    Args:
        measured: The mean loss before any training.
        chance: What outputs of zero cost.
    """
    return 0 < chance < math.inf and measured > FAR * chance


def start_words(measured: float, chance: float) -> str:
    """Where a loss starts that is far above the chance value, without a full stop.

    Example:
        >>> start_words(110.0, math.log(100))
        'the loss starts at 110, 24 × that of outputs of zero (4.61)'
    """
    times = measured / chance
    shown = f"{times:.1g}" if times >= 1e4 else f"{times:.0f}"
    return f"the loss starts at {measured:.3g}, {shown} × that of outputs of zero ({chance:.3g})"
