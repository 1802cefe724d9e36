"""Weights that make up for the dropout before their layers."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from initlab.base.errors import UserError
from initlab.initializers.context import Context, by_layer, run_hooked
from initlab.initializers.registry import register
from initlab.modules.batch import Batch

# Such a module sets numbers to zero one by one, or whole channels; alpha dropout keeps mean and variance by itself.
ALPHA = (nn.AlphaDropout, nn.FeatureAlphaDropout)


@register(
    "dropout_adjusted",
    level="model",
    needs=("dropout",),
    base="he_normal",
    source="Hendrycks & Gimpel 2016, arXiv:1607.02488, section 2.1",
)
def dropout_adjusted(model: nn.Module, *, context: Context, p: float | None = None) -> dict[str, str]:
    """Multiply each weight by sqrt(1 − p), p for the probability of the dropout before its layer.

    Dropout divides what it keeps by 1 − p, so that the mean square of what enters a layer grows by 1/(1 − p) while it
    trains; the factor makes up for that, as the paper has it for the forward pass. Which dropout stands before which
    layer is seen by sending a batch through the network: the layer's input is what the dropout gave, or that after
    activations, pools or a change of shape by modules. Dropout that a network calls as a function is not seen.

    Args:
        model: The network, its weights filled by `base` and then changed in place.
        context: With a batch, unless `p` is given.
        p: Probability of dropout before every layer but the first, in [0, 1). None: as the network has it.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: p is outside [0, 1), or no dropout stands before a layer.
    """
    if p is not None and not 0 <= p < 1:
        raise UserError(f"init.p={p:g}: expected a probability in [0, 1)")
    if p is not None:
        dropped: Mapping[str, float] = {slot.name: p for slot in context.slots[1:]}
    elif context.batch is None:
        raise UserError("init=dropout_adjusted looks where dropout is: give it a batch=inputs, or p=PROBABILITY")
    else:
        dropped = _dropout_before(model, context, context.batch)
    if not dropped:
        raise UserError(
            f"init=dropout_adjusted: no dropout before a layer of {type(model).__name__}; set model.dropout where the "
            "network has it, or init.p=PROBABILITY"
        )
    for slot in context.slots:
        if slot.name in dropped:
            slot.weight.mul_(math.sqrt(1 - dropped[slot.name]))
    return {name: f"× {math.sqrt(1 - share):.3g}: behind dropout of {share:g}" for name, share in dropped.items()}


def _dropout_before(model: nn.Module, context: Context, batch: Batch) -> Mapping[str, float]:
    """By the name of each weight, the probability of the dropout that its layer's input went through, if it did.

    Args:
        model: The network, which is left as it was.
        context: With the weights.
        batch: Rows to send through, on the network's device.
    """
    single = by_layer(context.slots)
    kept: list[Tensor] = []  # so that no memory is used twice while it tells tensors apart
    shares: dict[int, float] = {}  # what was kept of a tensor, by the memory that holds it
    found: dict[str, float] = {}

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        entering = args[0] if args and isinstance(args[0], Tensor) else None
        if entering is None or not isinstance(output, Tensor):
            return
        share = shares.get(_memory(entering), 1.0)
        if module in single:
            if share < 1:
                found.setdefault(single[module].name, 1 - share)
            share = 1.0
        elif isinstance(module, _DropoutNd) and not isinstance(module, ALPHA):
            share *= 1 - module.p
        elif any(True for _ in module.parameters()) or "Norm" in type(module).__name__:
            share = 1.0  # a norm measures what it gets while it trains
        kept.append(output)
        shares[_memory(output)] = share

    leaves = [module for module in model.modules() if not any(True for _ in module.children())]
    run_hooked(model, batch, [leaf.register_forward_hook(after) for leaf in leaves])
    return found


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
