"""What a GPU computes with unless it is told otherwise, and what initlab tells it."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def same_numbers() -> Iterator[None]:
    """Let a GPU's convolutions give the same numbers each time, and of 32 bits where the network's are.

    cuDNN takes the kernel that is quickest, some of which add up in whatever order their threads end; and by torch's
    default it multiplies numbers of 32 bits by their first 19 (TF32). A seed would not give the same network twice, nor
    a member what it gives alone. Without a GPU nothing changes.
    """
    import torch

    with torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
