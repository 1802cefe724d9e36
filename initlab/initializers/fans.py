"""Fans of a layer, computed from the module and not from its weight's shape."""

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from initlab.errors import UserError

WeightedLayer = nn.Linear | _ConvNd


@dataclass(frozen=True)
class Fan:
    """How many inputs feed one output unit of a layer, and how many outputs one input unit feeds."""

    fan_in: int
    fan_out: int

    def of(self, mode: str) -> float:
        """The fan that `mode` names: fan_in, fan_out, or fan_avg, their mean.

        Raises:
            UserError: `mode` is none of these.
        """
        fans = {"fan_in": self.fan_in, "fan_out": self.fan_out, "fan_avg": (self.fan_in + self.fan_out) / 2}
        if mode not in fans:
            raise UserError(f"init.mode={mode}: expected one of {', '.join(fans)}")
        return fans[mode]


def fan_of_layer(layer: nn.Module) -> Fan:
    """Fans of a Linear or (transposed, grouped) convolution.

    fan_in = C_in/groups · ∏kernel and fan_out = C_out/groups · ∏kernel. torch's own function reads the tensor's
    shape, which swaps the two for transposed convolutions and ignores the groups in fan_out.

    Raises:
        UserError: the layer is of another kind.
    """
    if isinstance(layer, nn.Linear):
        return Fan(layer.in_features, layer.out_features)
    if isinstance(layer, _ConvNd):
        taps = prod(layer.kernel_size)
        return Fan(layer.in_channels // layer.groups * taps, layer.out_channels // layer.groups * taps)
    raise UserError(f"{type(layer).__name__} has no fans: expected a Linear or a convolution")


def weighted_layers(model: nn.Module) -> dict[str, tuple[nn.Module, Tensor]]:
    """Every layer that an initializer fills, with its weight, by module name in the order of definition."""
    return {name: (layer, layer.weight) for name, layer in model.named_modules() if isinstance(layer, WeightedLayer)}
