"""Norms of weights under which gradient descent meets little curvature."""

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.checks import check_not_negative, check_positive
from initlab.initializers.context import Context
from initlab.initializers.registry import register
from initlab.modules.measuring import differentiable, measuring, slopes_of

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

    g is the gradient of the loss and H its Hessian: the quotient says how much one step of gradient descent would
    change the gradient. Unlike the paper, which draws random inputs and labels for every step, this looks at one batch
    of real rows.

    Args:
        model: The network, its weights filled by `base` and then changed in place. Their directions stay as they are.
        context: With a batch of real rows, its targets, and a loss.
        steps: How many steps the descent takes, at least 0; the paper takes 500 and more.
        lr: How far a norm moves in a step before momentum, above 0.
        momentum: Share of the last step's movement that is kept, in [0, 1).
        eps: The ε that keeps the quotient finite where the gradient is about 0, above 0.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: a value out of range, no weight to tune, or an operation of the network without second and third
            derivatives.
    """
    check_not_negative(steps=steps)
    check_positive(lr=lr, eps=eps)
    if not 0 <= momentum < 1:
        raise UserError(f"init.momentum={momentum}: expected a share in [0, 1)")
    slots = [slot for slot in context.slots if slot.weight.requires_grad and bool(slot.weight.any())]
    weights = [slot.weight for slot in slots]
    if not weights:
        raise UserError("init=metainit: no weight to tune: all are zero, frozen or computed from others")
    start = [float(weight.norm()) for weight in weights]
    velocity = [0.0] * len(weights)
    quotients = []
    with measuring(model), differentiable(model):
        for _ in range(steps):
            quotient = gradient_quotient(model, context, eps=eps)
            quotients.append(float(quotient))
            slopes = slopes_of(quotient, weights, model, where="init=metainit")
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
    """The gradient quotient, mean |(g − Hg)/(g ± ε) − 1| over all trainable parameters that the loss depends on.

    Args:
        model: The network, within `measuring` and `differentiable`.
        context: With a batch, its targets, and a loss.
        eps: The ε, with the sign of the gradient's entry.

    Returns:
        A scalar that can be differentiated by the parameters; about 0 where a step would not change the gradient.

    Source: Dauphin & Schoenholz 2019, NeurIPS, equation 1.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        batch = context.rows()
        loss = context.mean_loss(batch.through(model), batch)
        found = slopes_of(loss, parameters, model, where="init=metainit", create_graph=True)
        used = [(p, g) for p, g in zip(parameters, found, strict=True) if g is not None and g.requires_grad]
        half_square = sum((g.square().sum() for _, g in used), torch.zeros(())) / 2
        products = slopes_of(half_square, [p for p, _ in used], model, where="init=metainit", create_graph=True)
        total, count = torch.zeros(()), 0
        for (_, gradient), product in zip(used, products, strict=True):
            curved = gradient if product is None else gradient - product
            shifted = gradient + torch.where(gradient >= 0, eps, -eps)
            total = total + (curved / shifted - 1).abs().sum()
            count += gradient.numel()
        return total / count
