"""Networks of rectifiers that are linear at the start."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from initlab.activations import Activation, nonlinearity_of
from initlab.base.errors import UserError
from initlab.initializers.checks import check_positive
from initlab.initializers.context import Context
from initlab.initializers.find_activation import required_activation
from initlab.initializers.registry import register
from initlab.initializers.slots import Slot, find_slots
from initlab.modules.batch import Batch
from initlab.modules.measuring import first_tensor, measuring

# What may stand between the layers: it treats mirrored units alike, and sums of inputs as the sum of its outputs.
ALLOWED: Final = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.ZeroPad1d, nn.ZeroPad2d, nn.CircularPad1d, nn.CircularPad2d,
)  # fmt: skip
CLOSE: Final = 1e-3  # of outputs that should be equal, in single precision


@register(
    "looks_linear",
    level="model",
    needs=("chain",),
    base="orthogonal",
    source="Balduzzi et al. 2017, arXiv:1702.08591",
    unlike_theory="mirrors its weights",
)
def looks_linear(model: nn.Module, *, context: Context, gain: float = 1.0) -> dict[str, str]:
    """Mirror hidden units, [W; −W], and read them as [V, −V], so that the network is linear at the start.

    W and V are orthogonal. Since relu(z) − relu(−z) = z, each layer undoes the activation of the one before; where
    widths stay equal, with half as many inputs and outputs as hidden units, every singular value of the whole map is 1.
    Balduzzi et al. mirror by an activation that gives relu(z) and relu(−z); here the second half of a layer's units
    does it, in networks as they are. GELU, SiLU, softplus and leaky ReLU serve as well: all for which φ(z) − φ(−z) is
    in proportion to z. Where a batch is given, it is looked whether the network is linear on it.

    Args:
        model: A chain of dense layers or convolutions, changed in place: with residual branches, norms or max-pooling
            it would not be linear.
        context: Its weights and its randomness are used, and its batch if there is one.
        gain: What every singular value of W and V is, above 0.

    Returns:
        A remark for each weight, by its name.

    Raises:
        UserError: the network is no such chain, a hidden layer has an odd number of units, the activation does not fit,
            or the network is not linear on the batch.
    """
    check_positive(gain=gain)
    activation = required_activation(context.activation, "init=looks_linear", model)
    slope = slope_of_mirrored(activation)
    slots = find_slots(model)
    _check_chain(model, slots, context)
    own = {slot.name for slot in context.slots}
    notes = {}
    for place, slot in enumerate(slots):
        if slot.name not in own:
            continue
        reads, mirrored = place > 0, slot is not slots[-1]
        (weight,) = slot.each()
        out, entering = weight.shape[0] // (1 + mirrored), weight.shape[1] // (1 + reads)
        half = torch.empty(out, entering, *weight.shape[2:], dtype=torch.float64, device="cpu")
        half.copy_(_orthogonal(half, context) * (gain / (slope if reads else 1)))
        row = torch.cat([half, -half], 1) if reads else half
        weight.copy_(torch.cat([row, -row]) if mirrored else row)
        said = [
            *(["reads mirrored units"] if reads else []),
            *(["its second half mirrors the first"] if mirrored else []),
        ]
        notes[slot.name] = ", ".join(said) or "orthogonal"
    if context.batch is not None and context.output in context.slots:
        _check_linear(model, context.batch)
    return notes


def slope_of_mirrored(activation: Activation) -> float:
    """What φ(z) − φ(−z) is in proportion to z by: 1 for ReLU and GELU.

    Args:
        activation: φ.

    Raises:
        UserError: it is not in proportion.
    """
    points = torch.linspace(0.25, 6, 24, dtype=torch.float64)
    slopes = (activation.function(points) - activation.function(-points)) / points
    slope = float(slopes[0])
    if not slope or not torch.allclose(slopes, slopes[:1].expand_as(slopes), rtol=1e-9):
        raise UserError(
            f"init=looks_linear: φ(z) − φ(−z) is not in proportion to z for {activation.name}; choose relu, "
            "leaky_relu, gelu, silu or softplus"
        )
    return slope


def _orthogonal(like: Tensor, context: Context) -> Tensor:
    matrix = like.new_empty(like.flatten(1).shape)
    return nn.init.orthogonal_(matrix, generator=context.generator).view(like.shape)


def _check_chain(model: nn.Module, slots: Sequence[Slot], context: Context) -> None:
    """See that mirrored units are read in pairs, as far as the modules tell.

    Raises:
        UserError: they are not; the message names the first module that does not fit.
    """
    kind = type(model).__name__
    if callable(getattr(model, "residual_branches", None)):
        raise UserError(f"init=looks_linear: {kind} has residual branches; choose a chain of layers, e.g. model=mlp")
    layers = {slot.layer for slot in slots}
    for name, module in model.named_modules():
        leaf = not any(True for _ in module.children())
        if leaf and module not in layers and not isinstance(module, ALLOWED) and nonlinearity_of(module) is None:
            raise UserError(
                f"init=looks_linear: {name or kind} is {type(module).__name__}, behind which {kind} is not linear; "
                "choose a chain of dense layers or convolutions without norms and max-pooling"
            )
    free = {slot.name for slot in context.slots}
    for before, slot in zip([None, *slots], slots, strict=False):
        if (
            slot.blocks != 1
            or slot.is_embedding
            or not isinstance(slot.layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
        ):
            raise UserError(
                f"init=looks_linear: {slot.name} is no weight of a dense layer or a convolution in one group"
            )
        hidden = slot is not slots[-1]
        if slot.name not in free and (hidden or slot.computed):
            raise UserError(f"init=looks_linear: {slot.name} is left out, and the others need it for their pairs")
        out, entering = next(iter(slot.each())).shape[:2]
        if hidden and out % 2:
            raise UserError(
                f"init=looks_linear: {slot.name} has {out} units; to be mirrored they must be even in number"
            )
        if before is not None and entering % next(iter(before.each())).shape[0]:
            raise UserError(
                f"init=looks_linear: {slot.name} does not read what {before.name} gives: {kind} is no chain"
            )


def _check_linear(model: nn.Module, batch: Batch) -> None:
    """See that the outputs of sums of rows are sums of outputs.

    Raises:
        UserError: they are not, by what the network does between its modules.
    """
    inputs = batch.inputs
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        return

    def outputs(rows: Tensor) -> Tensor | None:
        with measuring(model), torch.no_grad():
            return first_tensor(Batch(rows).through(model))

    both = [outputs(rows) for rows in (inputs, inputs.flip(0), inputs + inputs.flip(0), torch.zeros_like(inputs))]
    one, other, together, nothing = both
    if one is None or other is None or together is None or nothing is None:
        return
    error = float((together + nothing - one - other).abs().max())
    if error > CLOSE * max(float(together.abs().max()), float(one.abs().max())):
        raise UserError(
            f"init=looks_linear: {type(model).__name__} is not linear with mirrored units; choose another init"
        )
