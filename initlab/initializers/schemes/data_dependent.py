"""Channels that are centred and of unit variance on a batch, and layers that learn at one rate."""

import warnings
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Generator, Tensor, nn

from initlab.base.errors import InitializationWarning, OwnCodeError, UserError
from initlab.base.wording import listed
from initlab.initializers.context import Context, look_at_layers, per_channel, scale_channels, visit_layers
from initlab.initializers.registry import register
from initlab.initializers.slots import Slot
from initlab.modules.batch import Batch
from initlab.modules.measuring import first_tensor, measuring, slopes_of

CLOSE: Final = 0.02  # to variance 1, in single or half precision


@register(
    "data_dependent",
    level="model",
    needs=("batch",),
    base="lecun_normal",
    source="Krähenbühl et al. 2016, arXiv:1511.06856, algorithms 1 and 2",
)
def data_dependent(model: nn.Module, *, context: Context, balance: bool = True) -> dict[str, str]:
    """Give each channel of each layer mean 0 and variance 1 on a batch; then balance the layers' rates of change.

    Where channels have biases, these make their mean 0. Balancing multiplies whole layers by factors whose product is
    one, so that the output stays as it is. That takes a chain of layers with a positively homogeneous activation such
    as ReLU; where the output would change, balancing is left out, and the remarks say so.

    Args:
        model: The network, its weights filled by `base` and then changed in place. The scale that they had does not
            matter.
        context: With a batch, on which means and variances are taken.
        balance: Whether to balance the layers after their channels are scaled.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: no layer of the network is called as a module.
    """
    dead: dict[str, int] = {}

    def adjust(slot: Slot, compute: Callable[[], Tensor]) -> Tensor:
        std = per_channel(slot, compute()).std(1, correction=0)
        constant = std == 0
        scale_channels(slot, torch.where(constant, 1.0, 1 / std))
        if slot.bias is not None:
            slot.bias.zero_()
            slot.bias.sub_(per_channel(slot, compute()).mean(1).to(slot.bias))
        dead[slot.name] = int(constant.sum())
        return compute()

    layers = visit_layers(model, context.rows(), context.slots, adjust)
    constant = [f"{dead[slot.name]} channels of {slot.layer_name}" for slot in layers if dead[slot.name]]
    if constant:
        _warn(f"{listed(constant, 3)} are the same for every row")
    ranges = look_at_layers(model, context.rows(), layers, _range_of_variances)
    notes = {slot.name: _reached(*ranges[slot.name]) for slot in layers}
    missed = [f"{slot.layer_name} ({notes[slot.name]})" for slot in layers if not notes[slot.name].endswith(" 1")]
    if missed:
        _warn(f"channels have not the variance 1 in {listed(missed, 3)}")
    notes |= {slot.bias_name: "centres its channel" for slot in layers if slot.bias_name is not None}
    if balance and len(layers) > 1:
        for name, remark in _balance(model, context.rows(), layers, context.generator).items():
            notes[name] += remark
    return notes


def _range_of_variances(slot: Slot, output: Tensor) -> tuple[float, float]:
    """The least and the largest variance of a layer's channels, but for channels that are the same for every row."""
    variances = per_channel(slot, output).var(1, correction=0)
    alive = variances[variances > 0]
    return (float(alive.min()), float(alive.max())) if len(alive) else (1.0, 1.0)


def _reached(least: float, most: float) -> str:
    """What the channels' variances are in the end, in words."""
    if abs(least - 1) < CLOSE and abs(most - 1) < CLOSE:
        return "each channel of variance 1"
    return f"channels of variance {least:.3g} to {most:.3g}, as its layer does more than multiply, or shares its weight"


def _warn(what: str) -> None:
    warnings.warn(f"init=data_dependent: {what}", InitializationWarning, stacklevel=4)


def _balance(model: nn.Module, batch: Batch, layers: Sequence[Slot], generator: Generator) -> dict[str, str]:
    """Multiply layers by factors of product one after which all change at one relative rate, if the output allows.

    Multiplying the weights of a layer by s divides their relative rate of change by s².

    Args:
        model: The network, whose channels have variance 1.
        batch: The rows on which the output must stay as it is.
        layers: The weights to balance, in the order in which their layers run.
        generator: Draws the random loss with which rates are measured.

    Returns:
        What the remark of each weight goes on with, by its name.
    """
    rates = _change_rates(model, batch, layers, generator)
    if rates is None:
        reason = "not balanced: no gradient of the output comes to each layer"
        return {slot.name: f"; {reason}" for slot in layers}
    factors = (rates / rates.log().mean().exp()).sqrt()
    before = _output(model, batch)
    kept = [(slot.weight.clone(), None if slot.bias is None else slot.bias.clone()) for slot in layers]
    for slot, factor, so_far in zip(layers, factors, factors.cumprod(0), strict=True):
        slot.weight.mul_(factor)
        if slot.bias is not None:
            slot.bias.mul_(so_far)
    if not torch.allclose(_output(model, batch), before, rtol=1e-3, atol=1e-3 * float(before.abs().max())):
        for slot, (weight, bias) in zip(layers, kept, strict=True):
            slot.weight.copy_(weight)
            if slot.bias is not None and bias is not None:
                slot.bias.copy_(bias)
        return {slot.name: "; not balanced: that would change the output" for slot in layers}
    return {slot.name: f", then × {factor:.3g}" for slot, factor in zip(layers, factors, strict=True)}


def _change_rates(model: nn.Module, batch: Batch, layers: Sequence[Slot], generator: Generator) -> Tensor | None:
    """Relative rate at which each layer's weights change under a random linear loss.

    It is the norm of the gradient of each column, divided by the column's norm, averaged over the columns of a layer.

    Args:
        model: The network, which is left as it was.
        batch: The rows that are sent through it.
        layers: The weights to measure, each seen as a matrix.
        generator: Draws the loss: a normal number for each entry of the output.

    Returns:
        One rate for each layer, shape (layers,); None where one of them gets no gradient, as it is frozen, the output
        does not depend on it, or the network cannot be differentiated.
    """
    weights = [slot.weight for slot in layers]
    with measuring(model), torch.enable_grad():
        output = first_tensor(batch.through(model))
        if output is None or not output.requires_grad or not all(weight.requires_grad for weight in weights):
            return None
        noise = torch.randn(output.shape, generator=generator, dtype=torch.float32, device="cpu").to(output)
        try:
            gradients = slopes_of((output * noise).sum(), weights, model, where="init=data_dependent")
        except OwnCodeError:
            raise
        except UserError:
            return None
    rates = []
    for slot, gradient in zip(layers, gradients, strict=True):
        if gradient is None or not bool(gradient.any()):
            return None
        columns = slot.maps().transpose(0, 1).flatten(1).norm(dim=0)
        slopes = slot.maps(gradient).transpose(0, 1).flatten(1).norm(dim=0)
        rates.append((slopes / columns.clamp(min=torch.finfo(columns.dtype).tiny)).mean())
    return torch.stack(rates)


def _output(model: nn.Module, batch: Batch) -> Tensor:
    """The first tensor that a network returns; there is one, as it had a gradient before."""
    with measuring(model):
        output = first_tensor(batch.through(model))
    assert output is not None
    return output.clone()
