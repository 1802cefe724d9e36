"""Layer-sequential unit variance."""

import warnings
from collections.abc import Callable
from typing import Final

from torch import Tensor, nn

from initlab.base.errors import InitializationWarning
from initlab.base.wording import listed
from initlab.initializers.checks import check_positive
from initlab.initializers.context import Context, look_at_layers, visit_layers
from initlab.initializers.registry import register
from initlab.initializers.slots import Slot

UNMOVED: Final = 1e-3  # relative change of an output under which dividing the weight has not changed it


@register(
    "lsuv", level="model", needs=("batch",), base="orthogonal", source="Mishkin & Matas 2016, arXiv:1511.06422, alg. 1"
)
def lsuv(model: nn.Module, *, context: Context, tolerance: float = 0.1, tries: int = 10) -> dict[str, str]:
    """Divide each weight by the standard deviation of its layer's output on a batch, layer by layer, until it is 1.

    Every weight is divided at least once; biases are not. One division is enough where biases are zero. Where dividing
    changes nothing, as in convolutions that standardize their weights, the weight stays as it was. What the remarks
    say is measured at the end, as a weight that two layers share is changed when the second one runs.

    Args:
        model: The network, its weights filled by `base` and then changed in place.
        context: With a batch, on which the standard deviations are taken, over all entries of an output.
        tolerance: How far from 1 the standard deviation may stay, above 0.
        tries: How often a layer is divided at most, above 0; then it is left, with a warning.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: tolerance or tries is not positive, or no layer is called as a module.
    """
    check_positive(tolerance=tolerance, tries=tries)
    efforts: dict[str, str] = {}

    def adjust(slot: Slot, compute: Callable[[], Tensor]) -> Tensor:
        output = compute()
        before = slot.weight.clone()
        std, done = float(output.std(correction=0)), 0
        while done < tries and std > 0 and (done == 0 or abs(std - 1) >= tolerance):
            slot.weight.div_(std)
            output, done, former = compute(), done + 1, std
            std = float(output.std(correction=0))
            if abs(std - former) < UNMOVED * former and abs(former - 1) >= tolerance:
                slot.weight.copy_(before)
                efforts[slot.name] = "dividing its weight changes nothing"
                return compute()
        efforts[slot.name] = f"after {done} {'division' if done == 1 else 'divisions'}"
        return output

    visited = visit_layers(model, context.rows(), context.slots, adjust)
    stds = look_at_layers(model, context.rows(), visited, lambda _, output: float(output.std(correction=0)))
    bad = [
        f"{slot.layer_name or type(slot.layer).__name__} "
        f"({stds[slot.name]:.3g}, {efforts[slot.name] if stds[slot.name] else 'the same for every row'})"
        for slot in visited
        if not abs(stds[slot.name] - 1) < tolerance
    ]
    if bad:
        warnings.warn(
            f"init=lsuv: the output's standard deviation is not 1 in {listed(bad, 3)}",
            InitializationWarning,
            stacklevel=2,
        )
    return {slot.name: f"output std {stds[slot.name]:.4f} {efforts[slot.name]}" for slot in visited}
