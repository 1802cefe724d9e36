"""How sure is sure enough, and how small too small: level and margin that all intervals of a report share."""

LEVEL = 0.95  # where no other is asked for
MARGIN = 0.01  # of accuracy or R²: differences that do not matter, where no other margin is asked for
FEW_SEEDS = 5  # fewer tell little of how much seeds scatter
ENOUGH_SEEDS = 10  # as conf/train.yaml has it


def significance(level: float) -> float:
    """Below which p a difference counts as shown, at a confidence level: 0.05 at 0.95.

    Args:
        level: In (0, 1).
    """
    return round(1 - level, 12)  # 1 - 0.95 is a little more than 0.05


def percent(share: float) -> str:
    """A share as people say it: `95 %`, `99.9 %`."""
    return f"{100 * share:.10g} %"
