"""Weights scaled to the moments that reach them, layer by layer."""

import math
from typing import Any, Final

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from initlab.base.errors import UserError
from initlab.initializers.context import Context, by_layer, run_hooked
from initlab.initializers.registry import register
from initlab.initializers.slots import Slot
from initlab.modules.batch import Batch

LEAST_ROWS: Final = 512
ENOUGH: Final = 2**20  # entries


@register(
    "autoinit",
    level="model",
    needs=("batch",),
    base="lecun_normal",
    source="Bingham & Miikkulainen 2021, arXiv:2109.08958",
)
def autoinit(model: nn.Module, *, context: Context) -> dict[str, str]:
    """Scale each weight to variance 1/(fan_in·(ν + μ²)), where μ and ν are the mean and variance that reach its layer.

    The layer's output then has mean 0 and variance 1. Only two numbers travel from layer to layer: whatever enters a
    layer counts as independent normal numbers of its mean and variance, as the paper assumes. What activations, norms,
    pools and sums of branches make of these is found by sampling, so that any module is understood.

    Args:
        model: The network, its weights filled by `base` and then changed in place.
        context: With a batch, of which only the mean, the variance and the shape are used.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: no layer of the network is called as a module.
    """
    single = by_layer(context.slots)
    notes: dict[str, str] = {}

    def normal_like(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point() or not bool(value.isfinite().all()):
            return value  # an index, or a mask of -inf
        mean, std = value.mean(), value.std(correction=0)
        return mean + std * _standard_normal(value, context.generator)

    def before(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        args, kwargs = tree_map(normal_like, (args, kwargs))
        slot = single.get(layer)
        entering = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        if slot is not None and slot.name not in notes and entering is not None:
            notes[slot.name] = _rescale(slot, entering)
        return args, kwargs

    def after(_layer: nn.Module, _args: Any, output: Any) -> Any:
        return _standard_normal(output, context.generator) if isinstance(output, Tensor) else output

    leaves = [layer for layer in model.modules() if not any(True for _ in layer.children())]
    hooks = [layer.register_forward_pre_hook(before, with_kwargs=True) for layer in leaves]
    hooks += [layer.register_forward_hook(after) for layer in single]
    run_hooked(model, _enlarged(context.rows()), hooks)
    if not notes:
        raise UserError(
            f"init=autoinit: no layer of {type(model).__name__} is called as a module and has one weight that is not "
            "computed from others"
        )
    return notes


def _rescale(slot: Slot, entering: Tensor) -> str:
    """Scale a weight to the moments of what enters its layer, and say for which.

    Args:
        slot: The weight, changed in place; one of zeros is left alone.
        entering: The layer's input. Indices enter an embedding, whose rows are taken one at a time, which counts as 1.
    """
    floating = entering.is_floating_point()
    mean, variance = (float(entering.mean()), float(entering.var(correction=0))) if floating else (1.0, 0.0)
    square = float(slot.weight.square().mean())
    if square == 0 or variance + mean**2 == 0:
        return "not scaled: nothing reaches it" if square else "not scaled: it is zero"
    slot.weight.mul_(1 / math.sqrt(square * slot.fan.fan_in * (variance + mean**2)))
    return f"for inputs of mean {mean:.3g} and variance {variance:.3g}"


def _standard_normal(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=torch.float32, device="cpu").to(like)


def _enlarged(batch: Batch) -> Batch:
    """The batch, its rows repeated until there are enough to sample moments from, but not more than memory holds.

    Enough are `LEAST_ROWS` rows, or fewer of many entries each: as many as have `ENOUGH` together.
    """
    entries = max(tensor[:1].numel() for tensor in tree_leaves(batch.inputs) if isinstance(tensor, Tensor))
    wanted = min(LEAST_ROWS, math.ceil(ENOUGH / max(entries, 1)))
    if len(batch) >= wanted:
        return batch
    return batch.part(torch.arange(wanted, device="cpu") % len(batch))
