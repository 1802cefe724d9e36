"""What layers of other libraries start from, as sets of rules by what a weight is for."""

from torch import Tensor

from initlab.initializers.facts import Facts, Role
from initlab.initializers.registry import register
from initlab.initializers.rules import Recipe
from initlab.initializers.schemes.variance_scaling import STD_OF_CUT_NORMAL


def unit_forget_bias(bias: Tensor) -> None:
    """Fill the bias of an LSTM's gates, in torch's order, with 1 for the forget gates and 0 for the others.

    Args:
        bias: Filled in place, shape (4 · units,).
    """
    bias.zero_()
    bias.view(4, -1)[1] = 1.0


@register(
    "keras_default",
    level="rules",
    source="keras-team/keras keras/src/layers: core/dense.py, core/embedding.py, rnn/lstm.py, rnn/gru.py",
)
def keras_default(facts: Facts) -> Recipe:  # noqa: ARG001
    """xavier_uniform, recurrent weights orthogonal, forget biases 1, embeddings from U(±0.05), other biases 0.

    Keras fills the weights of all gates of a cell as one matrix: into k gates of n units the bound is √(6/(fan_in +
    k·n)), and the recurrent matrix as a whole is orthogonal, so that each gate's has 1/√k of the size.

    Args:
        facts: What is known of the network.
    """
    return {
        Role.EMBEDDING: ("uniform", {"bound": 0.05}),
        Role.STACKED_INPUT: "xavier_uniform",
        Role.STACKED_RECURRENT: "orthogonal",
        Role.RECURRENT: "orthogonal",
        Role.FORGET_BIAS: unit_forget_bias,
        "*": "xavier_uniform",
    }


@register(
    "flax_default",
    level="rules",
    source="google/flax flax/linen/linear.py (default_kernel_init, default_embed_init), recurrent.py",
)
def flax_default(facts: Facts) -> Recipe:  # noqa: ARG001
    """LeCun's normal law, truncated; recurrent weights of each gate orthogonal; embeddings from N(0, 1/width).

    The width is the length of an embedding's vector. Biases are 0.

    Args:
        facts: What is known of the network.
    """
    return {
        Role.EMBEDDING: ("variance_scaling", {"mode": "fan_out", "distribution": "normal"}),
        Role.RECURRENT: "orthogonal",
        "*": ("lecun_normal", {"truncated": True}),
    }


@register(
    "haiku_default",
    level="rules",
    source="google-deepmind/dm-haiku haiku/_src: basic.py (Linear), conv.py, embed.py, initializers.py, recurrent.py",
)
def haiku_default(facts: Facts) -> Recipe:  # noqa: ARG001
    """A normal law of std 1/√fan_in cut at two of it, so that .88 of it is left; embeddings from N(0, 1), cut likewise.

    Biases are 0. Haiku's LSTM adds 1 to what its forget gates get, which here is a bias of 1; it has one matrix for
    input and state, whose fan_in is that of both, where here each has its own.

    Args:
        facts: What is known of the network.
    """
    return {
        Role.EMBEDDING: ("trunc_normal", {"std": 1.0}),
        Role.FORGET_BIAS: unit_forget_bias,
        "*": ("variance_scaling", {"scale": STD_OF_CUT_NORMAL**2}),
    }
