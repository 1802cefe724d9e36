"""Schemes that keep the variance of the signal: the scale follows from the layer's fans."""

import math

from torch import Generator, Tensor, nn

from initlab.initializers.checks import check_choice, check_positive
from initlab.initializers.fans import Fan
from initlab.initializers.kernels import fill_cut_normal
from initlab.initializers.registry import register

# The standard deviation of N(0, 1) cut at ±2.
STD_OF_CUT_NORMAL = 0.87962566103423978


def _fill_normal(weight: Tensor, std: float, *, truncated: bool, generator: Generator) -> None:
    """Fill `weight` with entries of standard deviation `std`: normal, or normal cut at two σ before the cut.

    Args:
        weight: Filled in place, a tensor of any shape.
        std: Standard deviation of the entries; where they are cut, that after the cut.
        truncated: Whether to cut, so that no entry exceeds 2.28·std in size.
        generator: The only source of randomness, on the CPU.
    """
    if truncated:
        fill_cut_normal(weight, std / STD_OF_CUT_NORMAL, 2.0, generator=generator)
    else:
        nn.init.normal_(weight, 0.0, std, generator=generator)


def _fill_uniform(weight: Tensor, std: float, *, generator: Generator) -> None:
    """Fill `weight` uniformly around 0 with standard deviation `std`.

    Args:
        weight: Filled in place, a tensor of any shape.
        std: Standard deviation of the entries; the largest absolute value is √3 times it.
        generator: The only source of randomness, on the CPU.
    """
    bound = math.sqrt(3) * std
    nn.init.uniform_(weight, -bound, bound, generator=generator)


@register("variance_scaling", source="Keras' and JAX' VarianceScaling")
def variance_scaling(
    weight: Tensor,
    *,
    fan: Fan,
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "truncated_normal",
    generator: Generator,
) -> None:
    """Fill `weight` with variance scale/fan: truncated_normal, cut at two σ, normal, or uniform.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which `mode` chooses one.
        scale: Variance times fan, above 0: 1 suits a linear network, 2 one with ReLU.
        mode: Which fan: `"fan_in"` keeps the signal's variance, `"fan_out"` the gradient's, `"fan_avg"` is in between.
        distribution: `"truncated_normal"`, `"normal"` or `"uniform"`, all of the same variance.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: a scale that is not positive, another mode, or another distribution.
    """
    check_positive(scale=scale)
    check_choice("distribution", distribution, "truncated_normal", "normal", "uniform")
    std = math.sqrt(scale / fan.size(mode))
    if distribution == "uniform":
        _fill_uniform(weight, std, generator=generator)
    else:
        _fill_normal(weight, std, truncated=distribution == "truncated_normal", generator=generator)


@register("xavier_normal", aliases=("xavier", "glorot_normal"), source="Glorot & Bengio 2010, AISTATS, eq. 12")
def xavier_normal(
    weight: Tensor, *, fan: Fan, gain: float = 1.0, truncated: bool = False, generator: Generator
) -> None:
    """Fill `weight` from N(0, gain² · 2/(fan_in + fan_out)).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, whose mean counts.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
        truncated: Whether to cut the normal at two σ; the standard deviation after the cut is the one above.
        generator: The only source of randomness, on the CPU.
    """
    std = gain / math.sqrt(fan.size("fan_avg"))
    _fill_normal(weight, std, truncated=truncated, generator=generator)


@register("xavier_uniform", aliases=("glorot_uniform",), source="Glorot & Bengio 2010, AISTATS, eq. 16")
def xavier_uniform(weight: Tensor, *, fan: Fan, gain: float = 1.0, generator: Generator) -> None:
    """Fill `weight` from U(±gain · sqrt(6/(fan_in + fan_out))).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, whose mean counts.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
        generator: The only source of randomness, on the CPU.
    """
    _fill_uniform(weight, gain / math.sqrt(fan.size("fan_avg")), generator=generator)


@register("he_normal", aliases=("he", "kaiming_normal"), source="He et al. 2015, arXiv:1502.01852, eq. 10")
def he_normal(
    weight: Tensor,
    *,
    fan: Fan,
    gain: float = math.sqrt(2),
    mode: str = "fan_in",
    truncated: bool = False,
    generator: Generator,
) -> None:
    """Fill `weight` from N(0, gain²/fan).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which `mode` chooses one.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
            √2 suits ReLU.
        mode: Which fan: `"fan_in"` keeps the signal's variance, `"fan_out"` the gradient's, `"fan_avg"` is in between.
        truncated: Whether to cut the normal at two σ; the standard deviation after the cut is the one above.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the mode is none of these three words.
    """
    _fill_normal(weight, gain / math.sqrt(fan.size(mode)), truncated=truncated, generator=generator)


@register("he_uniform", aliases=("kaiming_uniform",), source="He et al. 2015, arXiv:1502.01852, eq. 10")
def he_uniform(
    weight: Tensor, *, fan: Fan, gain: float = math.sqrt(2), mode: str = "fan_in", generator: Generator
) -> None:
    """Fill `weight` from U(±gain · sqrt(3/fan)).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which `mode` chooses one.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
            √2 suits ReLU.
        mode: Which fan: `"fan_in"` keeps the signal's variance, `"fan_out"` the gradient's, `"fan_avg"` is in between.
        generator: The only source of randomness, on the CPU.

    Raises:
        UserError: the mode is none of these three words.
    """
    _fill_uniform(weight, gain / math.sqrt(fan.size(mode)), generator=generator)


@register("lecun_normal", aliases=("lecun",), source="LeCun et al. 1998, Efficient BackProp, eq. 16")
def lecun_normal(weight: Tensor, *, fan: Fan, gain: float = 1.0, truncated: bool = False, generator: Generator) -> None:
    """Fill `weight` from N(0, gain²/fan_in), as self-normalizing nets want it (arXiv:1706.02515).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which fan_in counts.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
        truncated: Whether to cut the normal at two σ; the standard deviation after the cut is the one above.
        generator: The only source of randomness, on the CPU.
    """
    _fill_normal(weight, gain / math.sqrt(fan.fan_in), truncated=truncated, generator=generator)


@register("lecun_uniform", source="LeCun et al. 1998, Efficient BackProp, eq. 16")
def lecun_uniform(weight: Tensor, *, fan: Fan, gain: float = 1.0, generator: Generator) -> None:
    """Fill `weight` from U(±gain · sqrt(3/fan_in)).

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which fan_in counts.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
        generator: The only source of randomness, on the CPU.
    """
    _fill_uniform(weight, gain / math.sqrt(fan.fan_in), generator=generator)


@register(
    "torch_default",
    source="torch's reset_parameters of Linear and Conv: kaiming_uniform_ with a = √5",
    bias="torch_default",
)
def torch_default(weight: Tensor, *, fan: Fan, generator: Generator) -> None:
    """Fill `weight` from U(±1/sqrt(fan_in)), what torch does with dense layers and convolutions when nothing is said.

    Other kinds of layers get the same here, although torch treats them in ways of their own.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, of which fan_in counts.
        generator: The only source of randomness, on the CPU.
    """
    _fill_uniform(weight, 1 / math.sqrt(3 * fan.fan_in), generator=generator)


@register("spectral", source="Yang et al. 2023, arXiv:2310.17813")
def spectral(weight: Tensor, *, fan: Fan, gain: float = 1.0, generator: Generator) -> None:
    """Fill `weight` from N(0, gain²/fan_in · min(1, fan_out/fan_in)), so that its spectral norm suits any width.

    Signals and their changes keep their size at every width if each weight has a spectral norm of the order of
    sqrt(fan_out/fan_in). That of a Gaussian matrix of this scale is 1 to 2 times as large, 1 + sqrt(the smaller over
    the larger fan): derived from σ·(sqrt(fan_in) + sqrt(fan_out)), and measured. For that its updates must scale, too,
    at rates in proportion to fan_out/fan_in, which is a matter of the optimizer.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Fans of the layer, which both count.
        gain: Factor on the standard deviation, above 0; a rule such as "moment" is made a number first (`gain_value`).
        generator: The only source of randomness, on the CPU.
    """
    std = gain / math.sqrt(fan.fan_in) * min(1.0, math.sqrt(fan.fan_out / fan.fan_in))
    _fill_normal(weight, std, truncated=False, generator=generator)
