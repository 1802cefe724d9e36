"""A network that fails once it trains, in whatever process."""

import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn

WAITS_AFTER = 20  # steps


class Failing(nn.Linear):
    """A linear layer that fails, while gradients are wanted, in the way asked for.

    Args:
        input_shape: Of a row.
        out_features: How many outputs.
        how: `raises`; `raises_while_broken`: as long as a file `broken` lies in the working directory; `allocates`
            more than any machine has; `dies`: takes its process along, unless that is `spared`; `waits`: after
            some epochs, until a file `go` lies in the working directory; or `no`.
        spared: A process id.
    """

    def __init__(self, input_shape: tuple[int, ...], out_features: int, *, how: str = "no", spared: int = 0) -> None:
        super().__init__(input_shape[0], out_features)
        self.how, self.spared, self.steps = how, spared, 0

    def forward(self, inputs: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            if self.how == "raises" or (self.how == "raises_while_broken" and Path("broken").exists()):
                raise ArithmeticError("broken on purpose")
            if self.how == "allocates":
                torch.empty(2**60)
            if self.how == "dies" and os.getpid() != self.spared:
                os._exit(9)
            self.steps += 1
            while self.how == "waits" and self.steps > WAITS_AFTER and not Path("go").exists():
                time.sleep(0.01)
        return super().forward(inputs)
