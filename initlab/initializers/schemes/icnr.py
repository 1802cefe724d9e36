"""Convolutions before a pixel shuffle that start without a checkerboard."""

from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.context import Context
from initlab.initializers.registry import register
from initlab.initializers.slots import Slot


@register(
    "icnr",
    level="model",
    needs=("pixel shuffle",),
    base="he_normal",
    source="Aitken et al. 2017, arXiv:1707.02937",
    unlike_theory="repeats its kernels",
)
def icnr(model: nn.Module, *, context: Context) -> dict[str, str]:
    """Repeat each kernel before a pixel shuffle by r for r² channels, so that it repeats pixels at first.

    The shuffle then upsamples by nearest neighbours, without a checkerboard: each pixel of a convolution of as many
    kernels as are different stands there r × r times. The first of each r² kernels, as torch orders them, is the one
    that `base` drew; its bias is repeated, too. All other layers stay as `base` filled them.

    Args:
        model: A network in which a convolution stands before `nn.PixelShuffle`, in the order of definition; its weights
            are filled by `base` and then changed in place.
        context: Only its weights are used; it needs no batch.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: the network has no `nn.PixelShuffle`, or no convolution of its own before it.
    """
    slots = {slot.layer: slot for slot in context.slots}
    notes: dict[str, str] = {}
    before: nn.Module | None = None
    found = False
    for name, module in model.named_modules():
        if isinstance(module, nn.PixelShuffle):
            found = True
            slot = slots.get(before) if before is not None else None
            if slot is None or not isinstance(before, nn.Conv2d):
                raise UserError(
                    f"init=icnr: no convolution that it may fill stands before {name or 'the pixel shuffle'}"
                )
            notes |= _repeat(slot, module.upscale_factor, name)
        elif module in slots or isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            before = module
    if not found:
        raise UserError(f"init=icnr: {type(model).__name__} has no nn.PixelShuffle; choose another init")
    return notes


def _repeat(slot: Slot, factor: int, shuffle: str) -> dict[str, str]:
    """Let each r² kernels of a convolution be equal to the first of them.

    Raises:
        UserError: its channels cannot be shuffled so.
    """
    times = factor**2
    if len(slot.weight) % times:
        raise UserError(
            f"init=icnr: {slot.name} has {len(slot.weight)} channels, no multiple of {times} as {shuffle} asks"
        )
    note = f"{len(slot.weight) // times} kernels, {times} times each, before {shuffle}"
    for tensor in (slot.weight, *([] if slot.bias is None else [slot.bias])):
        _repeat_rows(tensor, times)
    return {slot.name: note, **({} if slot.bias_name is None else {slot.bias_name: note.replace("kernels", "biases")})}


def _repeat_rows(tensor: Tensor, times: int) -> None:
    tensor.copy_(tensor.detach()[::times].repeat_interleave(times, 0))
