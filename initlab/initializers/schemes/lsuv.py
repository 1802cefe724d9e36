"""Layer-sequential unit variance."""

import warnings
from collections.abc import Callable

from torch import Tensor, nn

from initlab.base.errors import InitializationWarning
from initlab.initializers.checks import check_positive
from initlab.initializers.context import Context, visit_layers
from initlab.initializers.registry import register
from initlab.initializers.slots import Slot


@register(
    "lsuv", level="model", needs=("batch",), base="orthogonal", source="Mishkin & Matas 2016, arXiv:1511.06422, alg. 1"
)
def lsuv(model: nn.Module, *, context: Context, tolerance: float = 0.1, tries: int = 10) -> dict[str, str]:
    """Divide each weight by the standard deviation of its layer's output on a batch, layer by layer, until it is 1.

    Every weight is divided at least once; biases are not. One division is enough where biases are zero.

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
    notes = {}

    def adjust(slot: Slot, compute: Callable[[], Tensor]) -> Tensor:
        output = compute()
        std, done = float(output.std(correction=0)), 0
        while done < tries and std > 0 and (done == 0 or abs(std - 1) >= tolerance):
            slot.weight.div_(std)
            output, done = compute(), done + 1
            std = float(output.std(correction=0))
        effort = f"after {done} {'division' if done == 1 else 'divisions'}"
        notes[slot.name] = f"output std {std:.4f} {effort}"
        if not abs(std - 1) < tolerance:
            reason = "it is the same for every row" if std == 0 else effort
            warnings.warn(
                f"init=lsuv: the output of {slot.layer_name or type(slot.layer).__name__} has standard deviation "
                f"{std:.3g}, not 1 ({reason})",
                InitializationWarning,
                stacklevel=2,
            )
        return output

    visit_layers(model, context.rows(), context.slots, adjust)
    return notes
