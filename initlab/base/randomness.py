"""Streams of randomness: one for each purpose of each seed, and none of them torch's global one."""

import hashlib

from torch import Generator


def stream(seed: int, purpose: str) -> Generator:
    """A generator of its own for one purpose of one seed.

    So two schemes at the same seed are paired, a layer more does not shift the draws of the other layers, and torch's
    global generator stays untouched. It is always on the CPU, so that every device starts from the same numbers.

    Example:
        >>> import torch
        >>> first = torch.rand(3, generator=stream(0, "0.weight"))
        >>> bool((first == torch.rand(3, generator=stream(0, "0.weight"))).all())
        True
        >>> bool((first == torch.rand(3, generator=stream(0, "2.weight"))).any())
        False

    Args:
        seed: The seed of the network, or of whatever else is drawn.
        purpose: What is drawn, in words or as a parameter's name; each has a stream of its own.
    """
    return Generator().manual_seed(seed_of(seed, purpose))


def seed_of(seed: int, purpose: str) -> int:
    """What the generator of a purpose is seeded with, a number below 2⁶³.

    Args:
        seed: As `stream` takes it.
        purpose: Likewise.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
