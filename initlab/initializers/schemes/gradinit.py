"""Scales of tensors learned for the first optimizer step."""

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.checks import check_choice, check_not_negative, check_positive
from initlab.initializers.context import Context
from initlab.initializers.registry import register
from initlab.modules.batch import Batch
from initlab.modules.calling import call_with
from initlab.modules.measuring import differentiable, measuring, slopes_of

LARGEST_SLOPE = 1.0  # to which the gradient of each scale is clipped


@register(
    "gradinit",
    level="model",
    needs=("batch", "loss"),
    base="he_normal",
    source="Zhu et al. 2021, arXiv:2102.08098, algorithm 1",
)
def gradinit(
    model: nn.Module,
    *,
    context: Context,
    steps: int = 100,
    lr: float = 0.01,
    eta: float = 0.1,
    gamma: float = 1.0,
    least: float = 0.01,
    optimizer: str = "sgd",
) -> dict[str, str]:
    """Learn one scale for each tensor, minimizing the loss after one step, with the gradient norm bounded by gamma.

    While the norm exceeds gamma, the norm is minimized instead of the loss. The step is taken on two thirds of the
    batch. Its loss is measured on two thirds that share half of their rows with the first; both are drawn anew each
    time.

    Args:
        model: The network, its weights filled by `base` and then changed in place.
        context: With a batch of real rows, its targets, and a loss.
        steps: How many steps Adam takes to learn the scales, at least 0; the paper takes an epoch.
        lr: Learning rate of Adam for the scales, above 0.
        eta: Length of the step of the network whose loss is minimized, above 0.
        gamma: Largest norm of the network's gradient, above 0; which norm depends on `optimizer`.
        least: The least value that a scale may have, above 0.
        optimizer: What the network will train with: `"sgd"` steps along the normalized gradient, and bounds its
            Euclidean norm; `"adam"` steps along its sign, and bounds the sum of its magnitudes.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: a value out of range, no tensor to scale, a loss or gradient that is not finite, or an operation of
            the network without a second derivative.
    """
    check_not_negative(steps=steps)
    check_positive(lr=lr, eta=eta, gamma=gamma, least=least)
    check_choice("optimizer", optimizer, "sgd", "adam")
    tensors = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    scales = {
        name: torch.ones((), dtype=torch.float32, device=tensor.device, requires_grad=True)
        for name, tensor in tensors.items()
        if name not in context.apart and bool(tensor.any())  # nothing scales a bias of zero
    }
    if not scales:
        raise UserError("init=gradinit: no tensor to scale: all are zero or frozen")
    learner = torch.optim.Adam(scales.values(), lr=lr)
    with measuring(model), differentiable(model), torch.enable_grad():
        for _ in range(steps):
            objective = _objective(model, context, tensors, scales, eta=eta, gamma=gamma, optimizer=optimizer)
            if not bool(objective.isfinite()):
                raise UserError("init=gradinit: loss or gradient is not finite; choose another init.base")
            slopes = slopes_of(objective, list(scales.values()), model, where="init=gradinit")
            for scale, slope in zip(scales.values(), slopes, strict=True):
                scale.grad = None if slope is None else slope.clamp(-LARGEST_SLOPE, LARGEST_SLOPE)
            learner.step()
            with torch.no_grad():
                for scale in scales.values():
                    scale.clamp_(min=least)
    for name, scale in scales.items():
        tensors[name].mul_(scale.detach())
    return {name: f"× {float(scale):.3g}" for name, scale in scales.items()}


def _objective(
    model: nn.Module,
    context: Context,
    tensors: dict[str, nn.Parameter],
    scales: dict[str, Tensor],
    *,
    eta: float,
    gamma: float,
    optimizer: str,
) -> Tensor:
    """What the scales are to minimize: the gradient norm where it exceeds gamma, else the loss after one step.

    Args:
        model: The network, whose structure is used with scaled tensors in place of its own.
        context: With a batch, its targets, and a loss.
        tensors: The trainable parameters by name, before they are scaled.
        scales: The scales by the names of their tensors; a tensor without one stays as it is.
        eta: Length of the step whose loss is returned.
        gamma: Largest norm of the gradient that is accepted.
        optimizer: `"sgd"` or `"adam"`, which decides on the step and the norm.

    Returns:
        A scalar that can be differentiated by the scales.
    """
    first, second = _overlapping_parts(context)
    scaled = {name: scales[name] * tensor if name in scales else tensor for name, tensor in tensors.items()}
    loss = _loss(model, scaled, first, context)
    found = slopes_of(loss, list(scaled.values()), model, where="init=gradinit", create_graph=True)
    gradients = {name: g for name, g in zip(scaled, found, strict=True) if g is not None}
    norm: Tensor
    if optimizer == "sgd":
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients.values()]))
    else:
        norm = torch.stack([g.abs().sum() for g in gradients.values()]).sum()
    if float(norm.detach()) > gamma:
        return norm
    if float(norm.detach()) == 0:  # nowhere to step to
        return _loss(model, scaled, second, context)
    step = {name: g / norm if optimizer == "sgd" else g.sign() for name, g in gradients.items()}
    moved = {name: value - eta * step[name] if name in step else value for name, value in scaled.items()}
    return _loss(model, moved, second, context)


def _loss(model: nn.Module, parameters: dict[str, Tensor], batch: Batch, context: Context) -> Tensor:
    output = batch.through(lambda *args, **kwargs: call_with(model, parameters, *args, **kwargs))
    return context.mean_loss(output, batch)


def _overlapping_parts(context: Context) -> tuple[Batch, Batch]:
    """Two parts of the batch, of two thirds each, that share half of their rows; drawn anew each time."""
    batch = context.rows()
    order = torch.randperm(len(batch), generator=context.generator, device="cpu")
    third = len(batch) // 3
    return batch.part(order[: len(batch) - third]), batch.part(order[third:])
