"""How many of a network's weights an initializer fills, and which it leaves to the network's constructor."""

from collections.abc import Collection
from dataclasses import dataclass

from torch import nn

from initlab.base.wording import listed
from initlab.initializers.norms import is_norm
from initlab.initializers.slots import is_weight_shaped


@dataclass(frozen=True)
class Coverage:
    """How many of a network's weights were filled: parameters of the shape of a weight, but those of norms.

    Attributes:
        filled: How many numbers were filled.
        total: How many there are.
        left: Names of the parameters that keep what their constructor gave them.
    """

    filled: int
    total: int
    left: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether at least half of the weights were filled, so that initializers can be compared."""
        return 2 * self.filled >= self.total

    def __str__(self) -> str:
        return f"init fills {self.filled:,} of {self.total:,} weights; not {listed(self.left, 4)}"


def coverage_of(model: nn.Module, treated: Collection[str]) -> Coverage:
    """Count the weights of a network that were filled; a shared one counts once.

    What initlab's own networks leave to their constructors, such as a token's place, does not count.

    Args:
        model: The network.
        treated: Names of the parameters that were filled.
    """
    sizes: dict[int, int] = {}
    names: dict[int, str] = {}
    filled = set()
    for prefix, module in model.named_modules():
        apart = is_norm(module) or type(module).__module__.startswith("initlab.")
        for own, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{own}" if prefix else own
            if name in treated:
                filled.add(id(parameter))
            if is_weight_shaped(parameter) and (name in treated or not apart):
                sizes[id(parameter)] = parameter.numel()
                names.setdefault(id(parameter), name)
    left = tuple(name for key, name in names.items() if key not in filled)
    return Coverage(sum(size for key, size in sizes.items() if key in filled), sum(sizes.values()), left)
