"""Singular values of the Jacobian of a network's outputs with respect to its inputs."""

import warnings
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap

from initlab.modules.calling import call_with
from initlab.modules.measuring import differentiable, measuring
from initlab.modules.stack import Stack, State
from initlab.propagation.measure import output_numbers

MOST_OUTPUTS: Final = 64  # up to which the whole Jacobian is computed
STEPS: Final = 30  # of the power iteration beyond
MOST_TOGETHER: Final = 8  # networks


def singular_values(networks: Stack, inputs: Tensor, *, rows: int, vectorized: bool) -> Tensor:
    """Singular values of each row's Jacobian, largest first; networks and random state stay as they were.

    All of them where a network has at most 64 outputs; the largest alone, by a power iteration, where it has more.
    Dropout is off, norms normalize by the batch.

    Args:
        networks: Members at any moment of their training, whose outputs have a row for each of the inputs.
        inputs: The batch, floating-point numbers, shape (rows, …); batch norm sees all of it.
        rows: So many rows, the first ones, get a Jacobian each.
        vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.

    Returns:
        Shape (members, rows, values), float64, on the CPU; NaN where a Jacobian is not finite.
    """
    template = networks.template
    chosen = inputs[:rows].clone()
    # Other rows matter to batch norm alone.
    others = inputs[rows:] if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in template.modules()) else None

    def of_member(own: State, kept: State) -> Tensor:
        def outputs_of(values: Tensor) -> Tensor:
            batch = values.clone() if others is None else torch.cat([values, others])
            state = {**own, **{name: value.clone() for name, value in kept.items()}}
            outputs = output_numbers(call_with(template, state, batch))
            return outputs[: len(values)].reshape(len(values), -1)

        outputs, pull_back = vjp(outputs_of, chosen)  # type: ignore[misc]
        width = outputs.shape[1]
        if width > MOST_OUTPUTS:
            return _largest(outputs_of, chosen)
        directions = torch.eye(width, dtype=outputs.dtype, device=outputs.device)
        directions = directions.unsqueeze(1).expand(width, len(chosen), width)
        (jacobians,) = vmap(pull_back)(directions)  # (outputs, rows, …)
        return _spectrum(jacobians.flatten(2).transpose(0, 1).double())

    with measuring(template), differentiable(template):
        values: Tensor = networks.each(of_member, vectorized=vectorized, most=MOST_TOGETHER)
    return values.cpu()


def _spectrum(matrices: Tensor) -> Tensor:
    """Singular values of some wide or tall matrices; NaN where one is not finite."""
    finite = matrices.isfinite().all(-1).all(-1)
    values: Tensor = torch.linalg.svdvals(torch.where(finite[:, None, None], matrices, 0.0))
    return torch.where(finite[:, None], values, torch.nan)


def _largest(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """The largest singular value of each row's Jacobian, shape (rows, 1), by power iteration with jvp and vjp."""
    axes = tuple(range(1, inputs.dim()))
    direction = torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0), dtype=inputs.dtype)
    direction = direction.to(inputs.device)
    _, pull_back = vjp(function, inputs)  # type: ignore[misc]
    length = torch.ones(len(inputs), dtype=inputs.dtype, device=inputs.device)
    for _ in range(STEPS):
        direction = direction / torch.linalg.vector_norm(direction, dim=axes, keepdim=True).clamp_min(1e-30)
        with warnings.catch_warnings():  # torch 2.14 warns about itself when it first takes a forward derivative
            warnings.simplefilter("ignore", FutureWarning)
            _, pushed = jvp(function, (inputs,), (direction,))  # type: ignore[misc]
        length = torch.linalg.vector_norm(pushed, dim=1)
        (direction,) = pull_back(pushed)
    return length.unsqueeze(1).double()
