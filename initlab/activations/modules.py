"""Activations that torch has no module for."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Sine(nn.Module):
    """sin(omega · z), as in SIREN (Sitzmann et al. 2020, arXiv:2006.09661)."""

    def __init__(self, omega: float = 30.0) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it to each entry."""
        return torch.sin(self.omega * inputs)


class QuickGELU(nn.Module):
    """z · sigmoid(1.702 z), as CLIP has it (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it to each entry."""
        return inputs * torch.sigmoid(1.702 * inputs)


class SquaredReLU(nn.Module):
    """max(z, 0)², as in Primer (So et al. 2021, arXiv:2109.08668)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply it to each entry."""
        return F.relu(inputs).square()
