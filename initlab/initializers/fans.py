"""Fans: how many connections a layer's units have."""

from dataclasses import dataclass

from initlab.base.errors import UserError


@dataclass(frozen=True)
class Fan:
    """How many inputs feed one output unit of a layer, and how many outputs one input unit feeds."""

    fan_in: int
    fan_out: int

    def size(self, mode: str) -> float:
        """The fan that `mode` names: fan_in, fan_out, or fan_avg, their mean.

        Raises:
            UserError: `mode` is none of these.
        """
        fans = {"fan_in": self.fan_in, "fan_out": self.fan_out, "fan_avg": (self.fan_in + self.fan_out) / 2}
        if mode not in fans:
            raise UserError(f"init.mode={mode}: expected one of {', '.join(fans)}")
        return fans[mode]
