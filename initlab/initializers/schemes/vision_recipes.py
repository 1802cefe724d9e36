"""What vision transformers start from, as sets of rules by what a weight is for."""

import math

from torch import Generator, Tensor, nn
from torch.nn.modules.conv import _ConvNd

from initlab.initializers.checks import check_not_negative, check_positive
from initlab.initializers.facts import Facts, Role
from initlab.initializers.fans import Fan
from initlab.initializers.registry import register
from initlab.initializers.rules import Recipe

TIMM = "huggingface/pytorch-image-models timm/models/vision_transformer.py"


def _tokens(std: float) -> Recipe:
    """What timm's networks start places and class tokens from."""
    return {
        Role.PLACES: ("normal", {"std": std}),
        Role.CLASS_TOKEN: ("normal", {"std": 1e-6}),
    }


def patches_uniform(weight: Tensor, *, fan: Fan, generator: Generator) -> None:
    """Fill a convolution from U(±√(6/(fan_in + channels out))), as a dense layer that sees one patch.

    Args:
        weight: Filled in place, shape (out, in, *kernel).
        fan: Its fans.
        generator: The only source of randomness, on the CPU.
    """
    bound = math.sqrt(6 / (fan.fan_in + len(weight)))
    nn.init.uniform_(weight, -bound, bound, generator=generator)


@register("vit_timm", level="rules", source=f"{TIMM} (init_weights_vit_timm)")
def vit_timm(facts: Facts, *, std: float = 0.02) -> Recipe:  # noqa: ARG001
    """Dense layers, embeddings and places from N(0, std²), convolutions as torch has them, biases 0.

    timm calls it a truncated normal law; its bounds, ±2, are absolute numbers, so that nothing is cut at std = 0.02.
    Class tokens are N(0, 1e-12). Convolutions, as of patches, keep torch's law, with its biases.

    Args:
        facts: What is known of the network.
        std: Standard deviation, above 0.

    Raises:
        UserError: the standard deviation is not positive.
    """
    check_positive(std=std)
    return {
        **_tokens(std),
        _ConvNd: ("torch_default", {"bias": "torch_default"}),
        "*": ("normal", {"std": std}),
    }


@register("vit_jax", level="rules", source=f"{TIMM} (init_weights_vit_jax), after google-research/vision_transformer")
def vit_jax(
    facts: Facts,  # noqa: ARG001
    *,
    mlp_bias_std: float = 1e-6,
    head_bias_classes: int = 0,
) -> Recipe:
    """xavier_uniform, LeCun's truncated law for patches, the output layer 0, biases of MLPs from N(0, mlp_bias_std²).

    Patches are the network's first layer, and any convolution. Query, key and value have fans of their own each. Other
    biases are 0.

    Args:
        facts: What is known of the network.
        mlp_bias_std: Standard deviation of the biases in branches without attention, at least 0.
        head_bias_classes: C, for a bias of −ln C of the output layer, which suits sigmoids that are to say 1/C at first
            (timm's jax_nlhb); 0: the bias is 0.

    Raises:
        UserError: a number is negative.
    """
    check_not_negative(mlp_bias_std=mlp_bias_std, head_bias_classes=head_bias_classes)
    head = {"bias": -math.log(head_bias_classes)} if head_bias_classes else {}
    patches = ("lecun_normal", {"truncated": True})
    return {
        Role.OUTPUT: ("zeros", head),
        **_tokens(0.02),
        Role.EMBEDDING: ("normal", {"std": 0.02}),
        Role.FIRST: patches,
        _ConvNd: patches,
        Role.MLP_BIAS: ("normal", {"std": mlp_bias_std}),
        "*": "xavier_uniform",
    }


@register("moco", level="rules", source=f"Chen et al. 2021, arXiv:2104.02057; {TIMM} (init_weights_vit_moco)")
def moco(facts: Facts) -> Recipe:  # noqa: ARG001
    """xavier_uniform, of query, key and value each, though one matrix may hold all three: ±√(6/(d_out/3 + d_in)).

    Convolutions, as of patches, are U(±√(6/(fan_in + channels out))), as MoCo v3 has them, where timm's copy keeps
    torch's law. Places are N(0, 0.02²), which MoCo v3 has fixed; class tokens are N(0, 1e-12), and biases 0.

    Args:
        facts: What is known of the network.
    """
    return {
        **_tokens(0.02),
        Role.EMBEDDING: ("normal", {"std": 0.02}),
        _ConvNd: patches_uniform,
        "*": "xavier_uniform",
    }
