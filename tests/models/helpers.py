"""Weights for comparing a network with its formula."""

import torch
from torch import nn


def scramble(model: nn.Module) -> None:
    """Give every parameter, and every running statistic, numbers that no default has."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in [*model.parameters(), *(v for k, v in model.named_buffers() if "running" in k)]:
            fan_in = max(1, value[0].numel())
            value.copy_((torch.rand(value.shape, generator=generator) + 0.2) * (2 / fan_in) ** 0.5)
            if value.dim() > 1:
                value.sub_(value.mean())
