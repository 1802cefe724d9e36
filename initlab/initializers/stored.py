"""How a weight stores linear maps, in words for its dimensions."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from torch import Tensor

from initlab.initializers.fans import Fan

AXES: Final = ("bank", "group", "out", "in", "kernel")  # the words of a layout, in the order that a map is seen in


@dataclass(frozen=True)
class Stored:
    """How a module stores the linear maps of one of its weights.

    Example:
        >>> import torch
        >>> Stored("in out").maps(torch.zeros(3, 5)).shape  # x @ weight
        torch.Size([1, 5, 3])
        >>> Stored("bank group out in", shape=(4, 2, 6, 3)).maps(torch.zeros(4, 12, 3)).shape  # 4 gated experts
        torch.Size([8, 6, 3])

    Attributes:
        layout: A word for each dimension: `out` and `in` for units and their inputs, which may take several dimensions
            each; `kernel` for the places that a convolution adds up over; `group` for maps that share a weight, such as
            gates; `bank` for maps of which an input takes some or a mixture, such as experts. Dimensions behind the
            last word are a kernel.
        bias: Name of the bias that belongs to it; None if there is none.
        shape: The sizes of the dimensions, where the parameter has some of them in one; None: the parameter's shape.
        one_hot: Whether one input at a time is 1 and the others 0, as in an embedding, so that fan_in is 1.
        recurrent: Whether its inputs are the state that it helped to make at the step before.
        gates: A letter for each group where these are gates, in the order of the groups: `i`, `f`, `g` and `o` for
            input, forget, candidate and output, as nn.LSTM has them; `r`, `z` and `n` for reset, update and candidate,
            as nn.GRU has them, whose z is the share of the state that is kept.
        attention: Whether the groups are query, key and value of an attention, in this order, or key and value alone.
    """

    layout: str
    bias: str | None = None
    shape: tuple[int, ...] | None = None
    one_hot: bool = False
    recurrent: bool = False
    gates: str = ""
    attention: bool = False

    def sizes(self, weight: Tensor) -> dict[str, int]:
        """How many banks, groups, outputs, inputs and places of the kernel a weight has, by these words."""
        shape = tuple(weight.shape) if self.shape is None else self.shape
        found = dict.fromkeys(AXES, 1)
        for word, size in zip(self._words(len(shape)), shape, strict=True):
            found[word] *= size
        return found

    def kernel_dimensions(self, weight: Tensor) -> int:
        """How many dimensions of places a weight adds up over; a convolution's output has as many behind channels."""
        return self._words(weight.dim() if self.shape is None else len(self.shape)).count("kernel")

    def fan(self, weight: Tensor) -> Fan:
        """The fans of one map: fan_in = in · ∏kernel and fan_out = out · ∏kernel; fan_in is 1 for one-hot inputs."""
        sizes = self.sizes(weight)
        return Fan(1 if self.one_hot else sizes["in"] * sizes["kernel"], sizes["out"] * sizes["kernel"])

    def each(self, weight: Tensor) -> Iterator[Tensor]:
        """Every map of a weight as a view (out, in, *kernel), bank by bank and in it group by group.

        Args:
            weight: A tensor of the parameter's shape; where inputs or outputs take several dimensions, contiguous.
        """
        stored = self._unfolded(weight)
        yield from _each(stored, self._words(stored.dim()), ("out", "in"))

    def each_bias(self, bias: Tensor) -> Iterator[Tensor]:
        """The part of a bias that belongs to each map, as a view (out,); for the first map all of one of another size.

        Args:
            bias: A tensor of the bias' shape, contiguous.
        """
        shape = () if self.shape is None else self.shape
        words = self._words(len(shape)) if shape else self.layout.split()
        kept = [place for place, word in enumerate(words) if word in ("bank", "group", "out")]
        sizes = [shape[place] for place in kept] if shape else list(bias.shape)
        if prod(sizes) != bias.numel() or len(sizes) != len(kept):
            yield bias
            return
        yield from _each(bias.view(sizes), [words[place] for place in kept], ("out",))

    def maps(self, weight: Tensor) -> Tensor:
        """All maps as (maps, out, in, *kernel): a view where the way in which they are stored allows one, else a copy.

        Args:
            weight: A tensor of the parameter's shape.
        """
        stored = self._unfolded(weight)
        words = self._words(stored.dim())
        kernel = [size for size, word in zip(stored.shape, words, strict=True) if word == "kernel"]
        sizes = self.sizes(weight)
        ordered = stored.permute([place for axis in AXES for place, word in enumerate(words) if word == axis])
        return ordered.reshape(sizes["bank"] * sizes["group"], sizes["out"], sizes["in"], *kernel)

    def _unfolded(self, weight: Tensor) -> Tensor:
        return weight if self.shape is None else weight.view(self.shape)

    def _words(self, dimensions: int) -> list[str]:
        words = self.layout.split()
        return words + ["kernel"] * (dimensions - len(words))


def _each(stored: Tensor, words: list[str], merged: tuple[str, ...]) -> Iterator[Tensor]:
    """Views of a tensor, one for each place in its banks and groups, with the dimensions of each other word merged."""
    places = {axis: [place for place, word in enumerate(words) if word == axis] for axis in AXES}
    ordered = stored.permute([place for axis in AXES for place in places[axis]])
    parts = [ordered]
    for _ in places["bank"] + places["group"]:
        parts = [part for whole in parts for part in whole.unbind(0)]
    if all(len(places[axis]) == 1 for axis in merged):
        yield from parts
        return
    sizes = [prod(stored.shape[place] for place in places[axis]) for axis in merged]
    kernel = [stored.shape[place] for place in places["kernel"]]
    yield from (part.view(*sizes, *kernel) for part in parts)
