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
STEPS: Final = 30  # of the method of Lanczos beyond
NOTHING_NEW: Final = 1e-4  # the share of a vector that may be rounding
MOST_TOGETHER: Final = 8  # networks


def singular_values(networks: Stack, inputs: Tensor, *, rows: int, vectorized: bool, workers: int = 1) -> Tensor:
    """Singular values of each row's Jacobian, largest first; networks and random state stay as they were.

    All of them where a network has at most 64 outputs; the largest alone, by the method of Lanczos, where it has more.
    Dropout is off, norms normalize by the batch.

    Args:
        networks: Members at any moment of their training, whose outputs have a row for each of the inputs.
        inputs: The batch, floating-point numbers, shape (rows, …); batch norm sees all of it.
        rows: So many rows, the first ones, get a Jacobian each.
        vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.
        workers: Threads that share the members, where these go one after another.

    Returns:
        Shape (members, rows, values), float64, on the CPU; NaN where a Jacobian is not finite.
    """
    template = networks.template
    chosen = inputs[:rows].clone()
    # Other rows matter to batch norm alone.
    others = inputs[rows:] if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in template.modules()) else None

    # Before vmap, in which each member would get a start of its own.
    generator = torch.Generator("cpu").manual_seed(0)
    start = torch.randn(chosen.shape, generator=generator, dtype=chosen.dtype, device="cpu").to(chosen.device)

    def of_member(template: nn.Module, own: State, kept: State) -> Tensor:
        def outputs_of(values: Tensor) -> Tensor:
            batch = values.clone() if others is None else torch.cat([values, others])
            state = {**own, **{name: value.clone() for name, value in kept.items()}}
            outputs = output_numbers(call_with(template, state, batch))
            return outputs[: len(values)].reshape(len(values), -1)

        jacobians = (_by_functions if vectorized else _by_graph)(outputs_of, chosen)
        if jacobians is None:
            return _largest(outputs_of, chosen, start)
        return _spectrum(jacobians.flatten(2).transpose(0, 1).double())

    with measuring(template), differentiable(template):
        values: Tensor = networks.each(of_member, vectorized=vectorized, most=MOST_TOGETHER, workers=workers)
    return values.cpu()


def _by_functions(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor | None:
    """Each row's Jacobian by `torch.func`, shape (outputs, rows, …); None where there are too many outputs."""
    outputs, pull_back = vjp(function, inputs)  # type: ignore[misc]
    if outputs.shape[1] > MOST_OUTPUTS:
        return None
    jacobians: Tensor = vmap(pull_back)(_directions(outputs))[0]
    return jacobians


def _by_graph(function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor | None:
    """The same by autograd: `torch.func` would import torch's compiler, which takes a second."""
    with torch.enable_grad():
        points = inputs.detach().requires_grad_()
        outputs = function(points)
    if outputs.shape[1] > MOST_OUTPUTS:
        return None
    if not outputs.requires_grad:
        return inputs.new_zeros(outputs.shape[1], *inputs.shape)
    (found,) = torch.autograd.grad(outputs, points, _directions(outputs), is_grads_batched=True, allow_unused=True)
    return inputs.new_zeros(outputs.shape[1], *inputs.shape) if found is None else found


def _directions(outputs: Tensor) -> Tensor:
    """For each output, the direction of that output in all rows, shape (outputs, rows, outputs)."""
    rows, width = outputs.shape
    return torch.eye(width, dtype=outputs.dtype, device=outputs.device).unsqueeze(1).expand(width, rows, width)


def _spectrum(matrices: Tensor) -> Tensor:
    """Singular values of some wide or tall matrices; NaN where one is not finite."""
    finite = matrices.isfinite().all(-1).all(-1)
    values: Tensor = torch.linalg.svdvals(torch.where(finite[:, None, None], matrices, 0.0))
    return torch.where(finite[:, None], values, torch.nan)


def _largest(function: Callable[[Tensor], Tensor], inputs: Tensor, start: Tensor) -> Tensor:
    """The largest singular value of each row's Jacobian J, shape (rows, 1), by the method of Lanczos.

    It is the largest of J on the space of v, JᵀJ v, (JᵀJ)² v, …, which comes close to it in far fewer steps than the
    last of these vectors alone, and in as many steps whatever is found: members go through together.
    """
    outputs, pull_back = vjp(function, inputs)  # type: ignore[misc]
    following = start.flatten(1)
    directions, images = following.new_zeros(len(inputs), 0, following.shape[1]), []
    for _ in range(min(STEPS, following.shape[1], outputs.shape[1])):
        direction = _next_direction(following, directions)
        directions = torch.cat([directions, direction.unsqueeze(1)], 1)
        with warnings.catch_warnings():  # torch 2.14 warns about itself when it first takes a forward derivative
            warnings.simplefilter("ignore", FutureWarning)
            _, pushed = jvp(function, (inputs,), (direction.view_as(inputs),))  # type: ignore[misc]
        images.append(pushed)
        following = pull_back(pushed)[0].flatten(1)
    return _spectrum(torch.stack(images, 1).double())[:, :1]


def _next_direction(candidates: Tensor, directions: Tensor) -> Tensor:
    """Unit vectors along what is new in some vectors; zeros where nothing is.

    Args:
        candidates: One vector a row, shape (rows, entries).
        directions: The directions of each row so far, orthonormal or zeros, shape (rows, directions, entries).
    """
    size = torch.linalg.vector_norm(candidates, dim=1, keepdim=True)
    new = candidates / size.clamp_min(torch.finfo(size.dtype).tiny)
    for _ in range(2):  # what rounding leaves of the others the first time
        shares = (directions @ new.unsqueeze(2)).mT
        new = new - (shares @ directions).squeeze(1)
    length = torch.linalg.vector_norm(new, dim=1, keepdim=True)
    return torch.where(length < NOTHING_NEW, 0.0, new / length.clamp_min(NOTHING_NEW))
