"""How many of a network's weights an initializer fills, and which it leaves to the network's constructor."""

from collections.abc import Collection
from dataclasses import dataclass

from torch import nn

from initlab.base.wording import listed
from initlab.initializers.apply import NORMS


@dataclass(frozen=True)
class Coverage:
    """How many of a network's weights were filled. Weights are parameters with two dimensions or more, but of norms.

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
        treated: Names of the parameters that were filled, as `fill_model` returns them.
    """
    sizes: dict[int, int] = {}
    names: dict[int, str] = {}
    filled = set()
    for prefix, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{own}" if prefix else own
            if name in treated:
                filled.add(id(parameter))
            apart = isinstance(module, NORMS) or type(module).__module__.startswith("initlab.")
            if parameter.dim() >= 2 and (name in treated or not apart):
                sizes[id(parameter)] = parameter.numel()
                names.setdefault(id(parameter), name)
    left = tuple(name for key, name in names.items() if key not in filled)
    return Coverage(sum(size for key, size in sizes.items() if key in filled), sum(sizes.values()), left)
