"""How many rows go through a network at a time, and how many steps an epoch has."""

from typing import Final

# Optimizer steps in a block: enough to hide what Lightning costs, few enough for a lively progress bar.
BLOCK_STEPS: Final = 100

# Rows that are evaluated at a time, at least: no more than a few training steps need.
CHUNK_ROWS: Final = 256

# Numbers that a member has answered before these are added up: of sequences a step gives hundred thousands. They are
# counted of one member, so that the sums of none depend on who else is in its cohort.
MOST_KEPT: Final = 2**20


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps in an epoch. The last step takes the rows that remain, unless that is a single row.

    Example:
        >>> steps_per_epoch(130, 64), steps_per_epoch(129, 64)
        (3, 2)

    Args:
        rows: How many rows there are to train on.
        batch_size: How many of them one step sees; more than there are means all of them.
    """
    return rows // min(batch_size, rows) + (rest_of_epoch(rows, batch_size) > 0)


def rest_of_epoch(rows: int, batch_size: int) -> int:
    """Rows in the last step of an epoch, where it has fewer than the others; 0 where it has as many.

    Example:
        >>> rest_of_epoch(130, 64), rest_of_epoch(129, 64)
        (2, 0)

    Args:
        rows: How many rows there are to train on.
        batch_size: How many of them one step sees; more than there are means all of them.
    """
    rest = rows % min(batch_size, rows)
    return rest if rest > 1 else 0
