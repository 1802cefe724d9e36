"""How much memory is free, and for how many worker processes that is enough."""

from typing import Final

import psutil
import torch

from initlab.base.machine import trains_on_cuda

PROCESS_MEMORY: Final = 700 * 2**20  # of a worker, before it trains


def free_memory(accelerator: str) -> int:
    """Bytes that are free where cohorts train: on the current GPU, or in main memory."""
    if trains_on_cuda(accelerator):
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


def room_for_workers() -> int:
    """How many worker processes there is memory for, with twice as much for what each works on; at least 1."""
    return max(1, free_memory("cpu") // (3 * PROCESS_MEMORY))
