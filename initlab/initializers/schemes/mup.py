"""The maximal update parametrization: a readout that shrinks faster than the other weights as a network gets wider."""

import math

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.checks import check_choice
from initlab.initializers.context import Context
from initlab.initializers.registry import register


@register(
    "mup", level="model", base="lecun_normal", source="Yang & Hu 2021, Tensor Programs V, arXiv:2203.03466, table 3"
)
def mup(
    model: nn.Module,  # noqa: ARG001
    *,
    context: Context,
    base_width: int | None = None,
    readout: str = "scaled",
) -> dict[str, str]:
    """Divide the output layer's weights by √m, m = width/base_width, or set them to 0; the rest is as by `base`.

    With a base whose variance is c/fan_in, hidden weights then have it too, and the readout (c/fan_in)/m, which is
    c · base fan_in/fan_in²: its standard deviation falls as 1/width. At the base width the network is that of `base`.
    It is the start that `optim.scaling=mup` wants. Biases are 0 unless the user sets them (`bias`).

    Args:
        model: Any network; its weights are filled by `base`, and those of the output layer are then changed in place.
        context: Only its weights are used; it needs no batch. The width is how many inputs the output layer has.
        base_width: Width at which it is as by `base`, at least 1; in a benchmark `optim.base_width` by default, which
            is 1/8 of that for `model=resnet` of four stages.
        readout: `"scaled"`, or `"zero"`, which TP V recommends (appendix D.2): all widths then start at the same
            function.

    Returns:
        A remark on the output layer's weight.

    Raises:
        UserError: there is no base width, or it is out of range.
    """
    check_choice("readout", readout, "scaled", "zero")
    if base_width is None:
        raise UserError(
            "init=mup needs the width at which the network is that of its base; set optim.base_width, or "
            "init.base_width"
        )
    width = context.output.fan.fan_in
    if not 1 <= base_width <= width:
        raise UserError(
            f"init.base_width={base_width}: expected at least 1, and at most {width}, the inputs of the output layer"
        )
    if context.output not in context.slots:  # it has a rule of its own
        return {}
    if readout == "zero":
        context.output.weight.zero_()
        return {context.output.name: "zero: the output layer"}
    factor = math.sqrt(base_width / width)
    context.output.weight.mul_(factor)
    return {context.output.name: f"× {factor:.3g}: the output layer of a network {width / base_width:g} × as wide"}
