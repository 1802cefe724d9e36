"""What the zoo sends through networks."""

from typing import Final

import torch

ROWS: Final = 4
LENGTH: Final = 12  # of a sentence
WORDS: Final = 99


def words() -> torch.Tensor:
    """Rows of token numbers, without those that have a meaning of their own."""
    return torch.randint(3, WORDS, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))


def numbers(*shape: int) -> torch.Tensor:
    """Rows of normal numbers.

    Args:
        *shape: Of one row.
    """
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(0))
