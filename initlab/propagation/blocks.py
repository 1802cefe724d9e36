"""What attention does before any training: where it looks, whether tokens become alike, how the stream grows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call

from initlab.modules.batch import Batch
from initlab.modules.measuring import first_tensor, measuring
from initlab.modules.stack import Stack

START: Final = "(tokens)"  # what enters the first block
COLUMNS: Final = ("member", "seed", "block", "position", "stream_second_moment", "token_spread", "attention_entropy")


class Attends(Protocol):
    """An attention that can tell how it weighs the tokens."""

    def attention_weights(self, *args: Any, **kwargs: Any) -> Tensor:
        """The weights, shape (batch, heads, queries, keys), of a call with these arguments; rows sum to 1."""


def find_attention(model: nn.Module) -> dict[str, str]:
    """The blocks of a network in which there is attention, with the attention in each, by their names.

    Attention is torch's `nn.MultiheadAttention`, or a module with a method `attention_weights`, as `Attends` has it.
    Its block is the nearest module around it that stands in a `ModuleList` or a `Sequential`; or the attention itself.

    Example:
        >>> layer = nn.TransformerEncoderLayer(8, 2, batch_first=True)
        >>> find_attention(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
        {'layers.0': 'layers.0.self_attn', 'layers.1': 'layers.1.self_attn'}

    Args:
        model: Any network.
    """
    found: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention) or callable(getattr(module, "attention_weights", None)):
            found.setdefault(_block_of(model, name), name)
    return found


def _block_of(model: nn.Module, name: str) -> str:
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        holder = model.get_submodule(".".join(parts[: end - 1]))
        if isinstance(holder, nn.ModuleList | nn.Sequential):
            return ".".join(parts[:end])
    return name


def look_at_blocks(networks: Stack, batch: Batch, seeds: Sequence[int]) -> pd.DataFrame:
    """Measure the tokens that leave each block, and where its attention looks.

    Args:
        networks: Members with their initial weights.
        batch: Rows to send through, the same for all members.
        seeds: Of the members, in their order.

    Returns:
        One row a member and block, and one for what enters the first, with the columns of `tables.schema.BLOCKS` but
        for the job; empty where no attention is found whose block gives tokens, shape (batch, tokens, width).
    """
    pairs = find_attention(networks.template)
    rows: list[dict[str, Any]] = []
    if pairs:
        for member, seed in enumerate(seeds):
            looked = _look_at_member(networks, member, batch, pairs)
            rows += [{"member": member, "seed": seed, **row} for row in looked]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _look_at_member(networks: Stack, member: int, batch: Batch, pairs: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of one network."""
    template = networks.template
    entropies: dict[str, float] = {}
    rows: list[dict[str, Any]] = []

    def attends(block: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            entropies.setdefault(block, relative_entropy(_weights(module, args, kwargs)))

        return hook

    def passes(block: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            seen = [(START, first_tensor(args))] if not rows else []
            for name, tokens in [*seen, (block, first_tensor(output))]:
                if tokens is not None and tokens.dim() == 3 and all(row["block"] != name for row in rows):
                    rows.append({"block": name, "position": len(rows), **_of_tokens(tokens)})

        return hook

    handles = [
        handle
        for block, attention in pairs.items()
        for handle in (
            template.get_submodule(attention).register_forward_pre_hook(attends(block), with_kwargs=True),
            template.get_submodule(block).register_forward_hook(passes(block)),
        )
    ]
    state = {name: value[member].detach() for name, value in {**networks.parameters, **networks.buffers}.items()}
    try:
        with measuring(template), torch.no_grad():
            batch.through(lambda *args, **kwargs: functional_call(template, state, args, kwargs))
    finally:
        for handle in handles:
            handle.remove()
    return [{**row, "attention_entropy": entropies.get(row["block"], math.nan)} for row in rows]


def _weights(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The attention weights of a call, shape (batch, heads, queries, keys)."""
    if isinstance(module, nn.MultiheadAttention):
        # `forward` itself: hooks on the module would be called again.
        found = module.forward(*args, **{**kwargs, "need_weights": True, "average_attn_weights": False})[1]
        assert found is not None  # as it was asked for
        return found
    weights: Tensor = module.attention_weights(*args, **kwargs)
    return weights


def relative_entropy(weights: Tensor) -> float:
    """Entropy of attention as a share of the largest, ln of the keys that a query may see: 1 is an even look at all.

    Queries that may see a single key, as the first step of a causal attention does, do not count.

    Example:
        >>> relative_entropy(torch.full((1, 1, 4, 4), 0.25)), relative_entropy(torch.eye(4).view(1, 1, 4, 4))
        (1.0, 0.25)

    Args:
        weights: Shape (batch, heads, queries, keys); the weights of a query sum to 1. A key that a query's place never
            gives any weight to is masked.
    """
    visible = (weights > 0).flatten(0, 1).any(0).sum(-1)
    chosen = visible > 1
    if not bool(chosen.any()):
        return math.nan
    entropy = torch.special.entr(weights.double()).sum(-1).flatten(0, 1).mean(0)
    return float((entropy[chosen] / visible[chosen].double().log()).mean())


def _of_tokens(tokens: Tensor) -> dict[str, float]:
    """The mean square of tokens, and which share of it differs between the tokens of a row."""
    values = tokens.double()
    square = values.square().mean((1, 2))
    apart = (values - values.mean(1, keepdim=True)).square().mean((1, 2))
    return {"stream_second_moment": float(square.mean()), "token_spread": float((apart / square).nanmean())}
