"""What language models start from, as sets of rules by what a weight is for."""

import math

from initlab.initializers.checks import check_positive
from initlab.initializers.facts import Facts, Role
from initlab.initializers.registry import register
from initlab.initializers.rules import Recipe


@register(
    "gpt2",
    level="rules",
    needs=("branches",),
    source="Radford et al. 2019, sec. 2.3, as karpathy/nanoGPT has it (model.py, GPT.__init__ and _init_weights)",
)
def gpt2(facts: Facts, *, std: float = 0.02) -> Recipe:
    """All weights from N(0, std²), embeddings too; the last layer of each of the B branches from N(0, std²/B).

    A transformer of L blocks has B = 2L branches, so that what they add up to does not grow with depth. Biases are 0.

    Args:
        facts: What is known of the network.
        std: Standard deviation of all other weights, above 0.

    Raises:
        UserError: the standard deviation is not positive.
    """
    check_positive(std=std)
    return {
        Role.BRANCH_END: ("normal", {"std": std / math.sqrt(facts.branches)}),
        "*": ("normal", {"std": std}),
    }


@register(
    "small_init",
    level="rules",
    source="Nguyen & Salazar 2019, arXiv:1910.05895, sec. 2.2; EleutherAI/gpt-neox megatron/model/init_functions.py",
)
def small_init(facts: Facts) -> Recipe:
    """All weights from N(0, 2/(5d)), d the width of the network: as xavier_normal has it for a layer from d to 4d.

    The width is the length of the vectors between blocks; without residual branches that of the embeddings, or the
    fan_in of the output layer. Embeddings get the same, as in GPT-NeoX. Biases are 0.

    Args:
        facts: What is known of the network.
    """
    return {"*": ("normal", {"std": math.sqrt(2 / (5 * facts.width))})}


@register(
    "wang_init",
    level="rules",
    needs=("branches",),
    source="EleutherAI/gpt-neox megatron/model/init_functions.py, after Wang & Komatsuzaki 2021 (GPT-J)",
)
def wang_init(facts: Facts) -> Recipe:
    """As small_init; the last layer of each branch from N(0, (2/(L·√d))²), L the number of blocks, d the width.

    Args:
        facts: What is known of the network.
    """
    return {
        Role.BRANCH_END: ("normal", {"std": 2 / (facts.blocks * math.sqrt(facts.width))}),
        "*": ("normal", {"std": math.sqrt(2 / (5 * facts.width))}),
    }


@register(
    "depth_scaled",
    level="rules",
    needs=("branches",),
    source="pytorch/torchtitan models/common/param_init.py (DepthScaledTruncNormal, make_decoder_param_init)",
)
def depth_scaled(facts: Facts, *, std: float = 0.02, embedding_std: float = 1.0) -> Recipe:
    """All weights from N(0, std²), the last layers of block l's branches from N(0, std²/(2(l + 1))), l from 0.

    The output layer is N(0, 1/d) cut at three standard deviations, d the width. In general 2(l + 1) is the number of
    branches up to and with block l. torch's bounds of the other normal laws, ±2, are absolute numbers, so that nothing
    is cut. Gated MLPs of torchtitan scale the gated layer, too. Biases are 0.

    Args:
        facts: What is known of the network.
        std: Standard deviation of all weights but those named, above 0.
        embedding_std: That of embeddings, above 0; a tied one is the output layer.

    Raises:
        UserError: a standard deviation is not positive.
    """
    check_positive(std=std, embedding_std=embedding_std)
    ends: Recipe = {
        (Role.BRANCH_END, block): ("normal", {"std": std / math.sqrt(branches)})
        for block, branches in enumerate(facts.ends)
    }
    return {
        Role.OUTPUT: ("trunc_normal", {"std": facts.width**-0.5, "cut": 3.0}),
        Role.EMBEDDING: ("normal", {"std": embedding_std}),
        **ends,
        "*": ("normal", {"std": std}),
    }


@register(
    "deepnorm",
    level="rules",
    needs=("branches", "scaled skips"),
    source="Wang et al. 2022, arXiv:2203.00555, fig. 2; microsoft/torchscale architecture/encoder.py, decoder.py",
)
def deepnorm(facts: Facts) -> Recipe:
    """xavier_normal; value, output and both MLP layers times (8N)^−¼, N the number of blocks; query and key are not.

    It goes with post-norm and skips multiplied by (2N)^¼ (`model.norm=post model.residual=deepnorm`); these numbers are
    those of a network that is encoder or decoder alone. torchscale starts from xavier_uniform in place of the paper's
    normal law, and has 1/√2 on query, key and value besides. Embeddings are N(0, 0.02²), and biases 0.

    Args:
        facts: What is known of the network.
    """
    return {
        Role.BRANCH: ("xavier_normal", {"gain": (8 * facts.blocks) ** -0.25}),
        "*": "xavier_normal",
    }


@register(
    "subln",
    level="rules",
    needs=("branches", "sub-norms"),
    source="Wang et al. 2022, arXiv:2210.06423, fig. 2; microsoft/torchscale architecture/encoder.py, decoder.py",
)
def subln(facts: Facts) -> Recipe:
    """xavier_normal; value, output and both MLP layers times √ln(2N), N the number of blocks; query and key are not.

    It goes with a second norm in each branch, before its last layer (`model.norm=sub`), and is for networks that are
    encoder or decoder alone. torchscale starts from xavier_uniform in place of the paper's normal law, and has 1/√2 on
    query, key and value besides. Embeddings are N(0, 0.02²), and biases 0.

    Args:
        facts: What is known of the network.
    """
    return {
        Role.BRANCH: ("xavier_normal", {"gain": math.sqrt(math.log(2 * facts.blocks))}),
        "*": "xavier_normal",
    }


@register(
    "t_fixup",
    level="rules",
    needs=("branches", "no norms"),
    source="Huang et al. 2020, ICML, sec. 3.2; layer6ai-labs/T-Fixup fairseq/modules/transformer_layer.py",
)
def t_fixup(facts: Facts) -> Recipe:
    """xavier_uniform; value, output and both MLP layers times .67·N^−¼; embeddings from N(0, 1/d) times (9N)^−¼.

    N is the number of blocks, d the width. These are the numbers of an encoder. The decoder's (9N)^−¼ stands for three
    branches a block, one of them attending to an encoder; a network that is decoder alone has two, as an encoder has,
    and gets the encoder's, too. A block of three branches gets the decoder's. Fairseq multiplies embeddings by √d when
    it looks them up, which is a matter of the network, and has 1/√2 on query, key and value, which its T-Fixup undoes
    on values. Biases are 0. There are no norms: `model.norm=none`.

    Args:
        facts: What is known of the network.
    """
    gain = (9 * facts.blocks) ** -0.25 if facts.branches > 2 * facts.blocks else 0.67 * facts.blocks**-0.25
    return {
        Role.BRANCH: ("xavier_uniform", {"gain": gain}),
        Role.EMBEDDING: ("normal", {"std": facts.width**-0.5 * (9 * facts.blocks) ** -0.25}),
        "*": "xavier_uniform",
    }
