"""Norms of weights under which gradient descent meets little curvature."""

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.checks import check_not_negative, check_positive
from initlab.initializers.context import Context
from initlab.initializers.registry import register
from initlab.modules.measuring import differentiable, measuring

LEAST_NORM = 0.01  # of what it was at the start


@register(
    "metainit",
    level="model",
    needs=("batch", "loss"),
    base="he_normal",
    source="Dauphin & Schoenholz 2019, NeurIPS, algorithm 1",
)
def metainit(
    model: nn.Module, *, context: Context, steps: int = 100, lr: float = 0.1, momentum: float = 0.9, eps: float = 1e-5
) -> dict[str, str]:
    """Tune the norm of each weight by signed gradient descent on the gradient quotient, mean |(g − Hg)/(g ± ε) − 1|.

    The quotient says how much one step of gradient descent would change the gradient.

    Unlike the paper's, which draws random inputs and labels for every step, it looks at one batch of real rows.

    Args:
        model: Whose weights `base` has filled; their directions stay.
        context: With a batch and a loss.
        steps: Of the descent; the paper takes 500 and more.
        lr: How far a norm moves in a step, before momentum.
        momentum: Of the descent.
        eps: Keeps the quotient finite.

    Raises:
        UserError: a value out of range, or no weight to tune.
    """
    check_not_negative(steps=steps)
    check_positive(lr=lr, eps=eps)
    if not 0 <= momentum < 1:
        raise UserError(f"init.momentum={momentum}: expected a share in [0, 1)")
    slots = [slot for slot in context.slots if slot.weight.requires_grad and bool(slot.weight.any())]
    weights = [slot.weight for slot in slots]
    if not weights:
        raise UserError("init=metainit: no weight to tune: all are zero or frozen")
    start = [float(weight.norm()) for weight in weights]
    velocity = [0.0] * len(weights)
    quotients = []
    with measuring(model), differentiable(model):
        for _ in range(steps):
            quotient = gradient_quotient(model, context, eps=eps)
            quotients.append(float(quotient))
            slopes = torch.autograd.grad(quotient, weights, allow_unused=True)
            for place, (weight, slope) in enumerate(zip(weights, slopes, strict=True)):
                along = 0.0 if slope is None else float((weight * slope).sum().sign())
                velocity[place] = momentum * velocity[place] - lr * along
                norm, least = float(weight.norm()), LEAST_NORM * start[place]
                # The paper's rule steps over zero; here a norm stops short of it.
                if norm + velocity[place] < least:
                    velocity[place] = least - norm
                weight.detach().mul_((norm + velocity[place]) / norm)
    ends = zip(slots, start, strict=True)
    notes = {slot.name: f"norm {before:.3g} → {float(slot.weight.norm()):.3g}" for slot, before in ends}
    if quotients:
        notes[slots[0].name] += f"; quotient {quotients[0]:.3g} → {quotients[-1]:.3g}"
    return notes


def gradient_quotient(model: nn.Module, context: Context, *, eps: float) -> Tensor:
    """The gradient quotient over all trainable parameters that the loss depends on: one number, differentiable.

    Source: Dauphin & Schoenholz 2019, NeurIPS, equation 1.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        batch = context.rows()
        loss = context.mean_loss(batch.through(model), batch)
        found = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        used = [(p, g) for p, g in zip(parameters, found, strict=True) if g is not None and g.requires_grad]
        half_square = sum((g.square().sum() for _, g in used), torch.zeros(())) / 2
        products = torch.autograd.grad(half_square, [p for p, _ in used], create_graph=True, allow_unused=True)
        total, count = torch.zeros(()), 0
        for (_, gradient), product in zip(used, products, strict=True):
            curved = gradient if product is None else gradient - product
            shifted = gradient + torch.where(gradient >= 0, eps, -eps)
            total = total + (curved / shifted - 1).abs().sum()
            count += gradient.numel()
        return total / count
