"""Streams of randomness: one for each purpose of each seed, none of them global."""

import hashlib

from torch import Generator


def stream(seed: int, purpose: str) -> Generator:
    """A generator of its own for one purpose of one seed.

    Two schemes at the same seed are thereby paired, adding a layer does not shift the draws of the others, and the
    global generator stays untouched. Always on the CPU, so that every device starts from the same numbers.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
