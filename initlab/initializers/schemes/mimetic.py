"""Attention that starts as trained transformers end up."""

import torch
from torch import Generator, Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.anatomy import attentions_of
from initlab.initializers.checks import check_not_negative
from initlab.initializers.context import Context
from initlab.initializers.registry import register


@register(
    "mimetic",
    level="model",
    needs=("attention",),
    base="vit_timm",
    unlike_theory="draws the maps of an attention in pairs",
    source="Trockman & Kolter 2023, arXiv:2305.09828, sec. 4; osiriszjq/structured_init, vision_transformer.py",
)
def mimetic(model: nn.Module, *, context: Context, query_key: float = 0.7, value_out: float = 0.4) -> dict[str, str]:
    """Make W_q·W_kᵀ ≈ .7·Z + .7·I in each head and W_v·W_proj = .4·Z − .4·I; all else is as `base` is.

    Z has independent entries from N(0, 1/d), another in each product; x·W is what a layer does to a row x of d numbers,
    so that nn.Linear stores Wᵀ. Each product is split evenly by its singular values; queries and keys of a head of size
    k keep the k largest. The paper goes with fixed places of sines and cosines, as model=vit has them.

    Args:
        model: A network with attention whose maps are square; its other weights are filled by `base`.
        context: Its weights, and its randomness.
        query_key: Factor of noise and identity in W_q·W_kᵀ, at least 0.
        value_out: Factor of noise and negative identity in W_v·W_proj, at least 0.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: a factor is negative, or an attention has maps that are not square.
    """
    check_not_negative(query_key=query_key, value_out=value_out)
    own = {slot.name for slot in context.slots}
    notes = {}
    for attention in attentions_of(model, context.slots):
        query, key, value, out = (
            piece.matrix for piece in (attention.query, attention.key, attention.value, attention.out)
        )
        width = query.shape[1]
        if any(matrix.shape != (width, width) for matrix in (query, key, value, out)):
            raise UserError(f"init=mimetic: {attention.query.name} and the maps beside it are not square")
        size = width // attention.heads
        for rows in (slice(start, start + size) for start in range(0, width, size)):
            left, right = _halves(width, query_key, query_key, context.generator)
            query[rows] = left[:, :size].T.to(query)
            key[rows] = right[:size].to(key)
        left, right = _halves(width, value_out, -value_out, context.generator)
        value.copy_(left.T)
        out.copy_(right.T)
        for piece, words in (
            (attention.query, "with the keys"),
            (attention.key, "with the queries"),
            (attention.value, "with the layer after it"),
            (attention.out, "with the values"),
        ):
            notes[piece.slot.name] = f"half of a product {words}"
    return {name: note for name, note in notes.items() if name in own}


def _halves(width: int, noise: float, identity: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two matrices whose product is noise·Z + identity·I, each with the square roots of its singular values."""
    drawn = torch.randn(width, width, generator=generator, dtype=torch.float64, device="cpu") * width**-0.5
    drawn.mul_(noise).diagonal().add_(identity)
    left, sizes, right = torch.linalg.svd(drawn)
    return left * sizes.sqrt(), sizes.sqrt().unsqueeze(1) * right
