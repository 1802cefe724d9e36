"""Singular values of the Jacobian of a network's outputs with respect to its inputs."""

import warnings
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp, vmap

from initlab.initializers.context import differentiable, measuring
from initlab.signal.measure import first_tensor

MOST_OUTPUTS: Final = 64  # up to which the whole Jacobian is computed
STEPS: Final = 30  # of the power iteration beyond


def singular_values(
    template: nn.Module,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    inputs: Tensor,
    *,
    rows: int,
    vectorized: bool,
) -> Tensor:
    """Singular values of each row's Jacobian, largest first; networks and random state stay as they were.

    All of them where a network has at most 64 outputs; the largest alone, by a power iteration, where it has more.

    Args:
        template: The structure; dropout is off, norms normalize by the batch.
        parameters: By name, shape (members, …).
        buffers: By name, shape (members, …).
        inputs: The batch, of floating-point numbers, rows first; batch norm sees all of it.
        rows: How many of the first rows.
        vectorized: Whether `torch.func.vmap` may go through all members at once.

    Returns:
        Shape (members, rows, values), float64.
    """
    chosen = inputs[:rows].clone()
    # Other rows matter to batch norm alone.
    others = inputs[rows:] if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in template.modules()) else None

    def of_member(own: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> Tensor:
        def outputs_of(values: Tensor) -> Tensor:
            batch = values.clone() if others is None else torch.cat([values, others])
            state = {**own, **{name: value.clone() for name, value in kept.items()}}
            outputs = first_tensor(functional_call(template, state, (batch,)))
            return outputs[: len(values)].reshape(len(values), -1)

        outputs, pull_back = vjp(outputs_of, chosen)  # type: ignore[misc]
        width = outputs.shape[1]
        if width > MOST_OUTPUTS:
            return _largest(outputs_of, chosen)
        directions = torch.eye(width, dtype=outputs.dtype, device=outputs.device)
        directions = directions.unsqueeze(1).expand(width, len(chosen), width)
        (jacobians,) = vmap(pull_back)(directions)  # (outputs, rows, …)
        return _spectrum(jacobians.flatten(2).transpose(0, 1).double())

    state = {name: value.detach() for name, value in parameters.items()}
    with measuring(template), differentiable(template), torch.no_grad():
        if vectorized:
            return vmap(of_member, chunk_size=8, randomness="different")(state, dict(buffers)).cpu()
        members = len(next(iter(state.values())))
        pick = [
            ({name: v[m] for name, v in state.items()}, {name: v[m] for name, v in buffers.items()})
            for m in range(members)
        ]
        return torch.stack([of_member(*part) for part in pick]).cpu()


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
