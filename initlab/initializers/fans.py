"""Fans: how many connections the units of a layer have."""

from dataclasses import dataclass

from initlab.base.errors import UserError


@dataclass(frozen=True)
class Fan:
    """How many inputs feed one output unit of a layer, and how many outputs one input unit feeds.

    Example:
        >>> fan = Fan(fan_in=100, fan_out=300)
        >>> fan.size("fan_in"), fan.size("fan_avg")
        (100, 200.0)

    Attributes:
        fan_in: C_in/groups · ∏kernel for a convolution, 1 for an embedding; see `slots.fan_of_layer`.
        fan_out: C_out/groups · ∏kernel for a convolution, likewise.
    """

    fan_in: int
    fan_out: int

    def size(self, mode: str) -> float:
        """The fan that a scheme scales its weights by.

        Args:
            mode: `"fan_in"`, `"fan_out"`, or `"fan_avg"` for the mean of both.

        Raises:
            UserError: `mode` is none of these words.
        """
        fans = {"fan_in": self.fan_in, "fan_out": self.fan_out, "fan_avg": (self.fan_in + self.fan_out) / 2}
        if mode not in fans:
            raise UserError(f"init.mode={mode}: expected one of {', '.join(fans)}")
        return fans[mode]
