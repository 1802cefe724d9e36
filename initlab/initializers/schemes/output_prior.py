"""An output layer that knows how common the classes are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.checks import check_choice
from initlab.initializers.context import Context
from initlab.initializers.registry import register


@register(
    "output_prior",
    level="model",
    needs=("classes",),
    base="he_normal",
    source="Lin et al. 2017, arXiv:1708.02002, section 4.1; for several classes the same",
)
def output_prior(
    model: nn.Module, *, context: Context, shares: Sequence[float] | None = None, weights: str = "zero"
) -> dict[str, str]:
    """Set the output layer's biases to the logarithms of the class shares, its weights to 0, the rest by `base`.

    The first loss is then the entropy of the shares, the least that an answer without a look at the inputs can have; on
    rows with these shares exactly. A network with one output, whose sigmoid is the probability of the second of two
    classes, gets −ln((1 − π)/π), π for that class's share. Shares are counted in the training rows, or in the targets
    of the batch. A class that never occurs counts as one row more, as its logarithm would not be finite.

    Args:
        model: A network whose output layer has a bias for each class, or one bias for two classes.
        context: With the class counts, unless `shares` is given.
        shares: The share of each class, all above 0; None: as counted.
        weights: What the output layer's weights are: `"zero"`, or `"base"`, as `base` filled them.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: there are no classes, the output layer has no bias, or not one for each class.
    """
    check_choice("weights", weights, "zero", "base")
    slot = context.output
    if slot not in context.slots:
        raise UserError(f"init=output_prior: {slot.name} has a rule of its own, and is what this scheme is about")
    if slot.bias is None or slot.bias_name is None:
        name = slot.layer_name or "itself"
        raise UserError(f"init=output_prior: the output layer of {type(model).__name__}, {name}, has no bias")
    if weights == "zero" and slot.other_names:
        raise UserError(f"init=output_prior: {slot.name} is shared with {slot.other_names[0]}; set init.weights=base")
    found = _class_shares(context, shares, outputs=len(slot.bias))
    slot.bias.copy_((found[1:] / found[0]).log() if len(slot.bias) == 1 else found.log())
    notes = {slot.bias_name: f"of shares from {float(found.min()):.3g} to {float(found.max()):.3g}"}
    if weights == "zero":
        slot.weight.zero_()
        notes[slot.name] = "zero: the output layer"
    return notes


def _class_shares(context: Context, shares: Sequence[float] | None, *, outputs: int) -> Tensor:
    """The share of each class, shape (classes,), float64, all above 0; two classes for one output.

    Args:
        context: With the class counts.
        shares: What the user gave in their place.
        outputs: How many numbers the network gives.

    Raises:
        UserError: there are none, or not as many as outputs.
    """
    classes = max(outputs, 2)
    if shares is not None:
        counts = torch.tensor([float(share) for share in shares], dtype=torch.float64, device="cpu")
        if not len(counts) or not bool((counts > 0).all()):
            raise UserError(f"init.shares={list(shares)}: expected numbers above 0, one a class")
    elif context.class_counts is None:
        raise UserError(
            "init=output_prior needs classes to count, and the targets are numbers or not given; choose another "
            "init, or give it batch=(inputs, classes) and a loss, or shares=[…]"
        )
    else:
        counts = context.class_counts.double().clamp(min=1)
        counts = torch.cat([counts, counts.new_ones(max(0, classes - len(counts)))])
    if len(counts) != classes:
        raise UserError(f"init=output_prior: {len(counts)} classes, and the output layer gives {outputs} numbers")
    return counts / counts.sum()
