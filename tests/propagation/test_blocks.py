"""Attention, tokens and the residual stream before training, against laws and torch's own attention."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from matplotlib.lines import Line2D
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.figures.blocks import blocks_by_depth
from initlab.models.vision_transformer import VisionTransformer
from initlab.modules.batch import Batch
from initlab.modules.stack import stack_members
from initlab.propagation.block_words import block_words
from initlab.propagation.blocks import START, find_attention, look_at_blocks, relative_entropy

WIDTH, HEADS, TOKENS, ROWS = 8, 2, 5, 6


def encoder(layers: int, **options: Any) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    options = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True, **options}
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(WIDTH, HEADS, **options), layers, enable_nested_tensor=False
    )


def tokens() -> Tensor:
    return torch.randn(ROWS, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


def look(model: nn.Module, inputs: Tensor) -> pd.DataFrame:
    return look_at_blocks(stack_members([model]), Batch(inputs), [3])


def test_torchs_own_layers_are_seen_as_torch_computes_them() -> None:
    model = encoder(2)
    found = look(model, tokens())
    assert list(found["block"]) == [START, "layers.0", "layers.1"]
    assert list(found["position"]) == [0, 1, 2]
    assert set(found["seed"]) == {3}
    first: Any = model.layers[0]
    with torch.no_grad():
        weights = first.self_attn(tokens(), tokens(), tokens(), average_attn_weights=False)[1].numpy()
        after = first(tokens()).numpy()
    entropy = -(weights * np.log(weights)).sum(-1).mean() / math.log(TOKENS)
    assert found["attention_entropy"].iloc[1] == pytest.approx(entropy, rel=1e-5)
    assert found["stream_second_moment"].iloc[1] == pytest.approx(np.square(after).mean(), rel=1e-5)
    apart = ((after - after.mean(1, keepdims=True)) ** 2).sum((1, 2)) / (after**2).sum((1, 2))
    assert found["token_spread"].iloc[1] == pytest.approx(apart.mean(), rel=1e-4)


def test_initlabs_vit_looks_as_it_computes() -> None:
    model = VisionTransformer((1, 8, 8), 3, Activation("relu"), patch=4, width=WIDTH, depth=2, heads=HEADS)
    found = look(model, torch.randn(ROWS, 1, 8, 8))
    assert list(found["block"]) == [START, "blocks.0", "blocks.1"]
    attention = model.get_submodule("blocks.0.attention")
    seen = tokens()
    queries, keys, values = (
        getattr(attention, name)(seen).view(ROWS, TOKENS, HEADS, -1).transpose(1, 2)
        for name in ("query", "key", "value")
    )
    expected = F.scaled_dot_product_attention(queries, keys, torch.eye(TOKENS).expand(ROWS, HEADS, -1, -1))
    weights: Any = attention
    torch.testing.assert_close(weights.attention_weights(seen), expected)
    mixed = (expected @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(seen), weights.out(mixed))


def test_an_even_look_makes_all_tokens_alike_at_once() -> None:
    """Without a skip, queries of zero weigh all alike: one attention leaves the mean of the tokens (rank collapse)."""

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)])

        def forward(self, inputs: Tensor) -> Tensor:
            mixed: Tensor = self.layers[0](inputs, inputs, inputs)[0]
            return mixed

    model = Bare()
    attention: Any = model.layers[0]
    with torch.no_grad():
        attention.in_proj_weight[:WIDTH] = 0
    found = look(model, tokens())
    assert found["attention_entropy"].iloc[1] == pytest.approx(1)
    assert found["token_spread"].iloc[0] > 0.5
    assert found["token_spread"].iloc[1] == pytest.approx(0, abs=1e-12)


def test_a_causal_look_is_compared_with_what_it_may_see() -> None:
    """The n-th step looks evenly at n steps; the first, which sees itself alone, does not count."""
    even = torch.ones(TOKENS, TOKENS).tril()
    assert relative_entropy((even / even.sum(1, keepdim=True)).view(1, 1, TOKENS, TOKENS)) == pytest.approx(1)
    assert math.isnan(relative_entropy(torch.ones(1, 1, 1, 1)))
    sharp = torch.eye(TOKENS).expand(2, 3, -1, -1)
    assert math.isnan(relative_entropy(sharp))  # nobody ever looks anywhere else


def test_branches_of_zero_leave_the_stream_as_it_is_bit_for_bit() -> None:
    model = encoder(3, norm_first=True)
    for layer in model.layers:
        part: Any = layer
        nn.init.zeros_(part.self_attn.out_proj.weight)
        nn.init.zeros_(part.linear2.weight)
        nn.init.zeros_(part.linear2.bias)
    found = look(model, tokens())
    assert found["stream_second_moment"].nunique() == 1
    assert found["token_spread"].nunique() == 1
    assert (
        "over 3 blocks the residual stream's mean square becomes 1 × what it was, and tokens stay apart"
        in block_words(found)
    )


def test_without_attention_there_is_nothing_to_see() -> None:
    assert find_attention(nn.Sequential(nn.Linear(3, 3))) == {}
    assert look(nn.Sequential(nn.Linear(WIDTH, 3)), tokens()).empty
    assert block_words(look(nn.Sequential(nn.Linear(WIDTH, 3)), tokens())) == ""


def table(*rows: tuple[float, float, float]) -> pd.DataFrame:
    columns = ["stream_second_moment", "token_spread", "attention_entropy"]
    return pd.DataFrame(rows, columns=columns).assign(member=0, position=range(len(rows)))


def test_a_collapse_is_said() -> None:
    found = block_words(table((1, 0.8, math.nan), (2, 0.4, 0.9), (4, 0.2, 0.5)))
    assert found == (
        "attention starts with 70% of the entropy of an even look, over 2 blocks the residual stream's mean square "
        "becomes 4 × what it was, and tokens become alike (rank collapse): 0.25 × of their differences are left"
    )


def test_the_figure_shows_the_table() -> None:
    two = pd.concat(
        [table((1, 0.8, math.nan), (4, 0.4, 0.9)), table((1, 0.6, math.nan), (16, 0.2, 0.7)).assign(member=1)]
    )
    figure = blocks_by_depth({"he_normal": two})
    lines: list[Line2D] = [panel.lines[0] for panel in figure.axes]
    np.testing.assert_allclose(np.asarray(lines[0].get_ydata()), [1, 8])  # the geometric mean
    np.testing.assert_allclose(np.asarray(lines[1].get_ydata()), [0.7, 0.3])
    np.testing.assert_allclose(np.asarray(lines[2].get_ydata()), [np.nan, 0.8])
