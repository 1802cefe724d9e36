"""Weights that spread the active regions of a layer's units over its inputs."""

from torch import Generator, Tensor

from initlab.initializers.checks import check_positive
from initlab.initializers.registry import register


@register("nguyen_widrow", source="Nguyen & Widrow 1990, IJCNN")
def nguyen_widrow(weight: Tensor, *, bias: Tensor | None, scale: float = 0.7, generator: Generator) -> None:
    """Fill each unit's weights with a random direction of length β = scale · out^(1/in), and biases from U(±β).

    The directions are those of numbers from U(±0.5). A unit with a saturating activation such as tanh then has its
    active region at a random place among inputs between −1 and 1, and together the units cover them. With many inputs β
    is about `scale`, whatever the width.

    Args:
        weight: Filled in place, shape (out, in, *kernel). `in` stands for in · ∏kernel above.
        bias: Filled in place, shape (out,); None if the layer has none, or the user set another rule for it.
        scale: What the length is in proportion to, above 0.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the scale is not positive.
    """
    check_positive(scale=scale)
    length = scale * len(weight) ** (1 / weight[0].numel())
    weight.uniform_(-0.5, 0.5, generator=generator)
    norms = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.dim() - 1))
    weight.mul_(length / norms)
    if bias is not None:
        bias.uniform_(-length, length, generator=generator)
