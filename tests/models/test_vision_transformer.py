"""The vision transformer, against torch's own attention and its formula."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.transformer import Attention
from initlab.models.vision_transformer import VisionTransformer, sine_cosine_positions
from tests.models.helpers import scramble

TANH = Activation("tanh")


def torchs_attention(attention: Attention) -> nn.MultiheadAttention:
    """torch's module with the same weights."""
    width = attention.out.in_features
    theirs = nn.MultiheadAttention(width, attention.heads, batch_first=True, dtype=torch.float64)
    three = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in three]))
        theirs.in_proj_bias.copy_(torch.cat([layer.bias for layer in three]))
        theirs.out_proj.load_state_dict(attention.out.state_dict())
    return theirs


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_torchs(heads: int) -> None:
    attention = Attention(12, heads).double()
    scramble(attention)
    tokens = torch.randn(4, 5, 12, dtype=torch.float64)
    expected, _ = torchs_attention(attention)(tokens, tokens, tokens, need_weights=False)
    torch.testing.assert_close(attention(tokens), expected)


def test_it_is_its_formula() -> None:
    """Patches by `unfold`, attention by torch's module, norms and the rest by functions."""
    model = VisionTransformer((3, 4, 6), 5, TANH, patch=2, width=8, depth=2, heads=2, ratio=3).double()
    scramble(model)
    left = {name: value.detach() for name, value in model.named_parameters()}

    def linear(signal: Tensor, name: str) -> Tensor:
        return F.linear(signal, left.pop(f"{name}.weight"), left.pop(f"{name}.bias"))

    def normalized(signal: Tensor, name: str) -> Tensor:
        return F.layer_norm(signal, (8,), left.pop(f"{name}.weight"), left.pop(f"{name}.bias"))

    inputs = torch.randn(7, 3, 4, 6, dtype=torch.float64)
    tokens = linear(F.unfold(inputs, 2, stride=2).transpose(1, 2), "embedding")
    signal = tokens + sine_cosine_positions(2, 3, 8)
    for name in ("blocks.0", "blocks.1"):
        attention = model.get_submodule(f"{name}.attention")
        assert isinstance(attention, Attention)
        seen = normalized(signal, f"{name}.attention_norm")
        signal = signal + torchs_attention(attention)(seen, seen, seen, need_weights=False)[0]
        for parameter, _ in attention.named_parameters():
            del left[f"{name}.attention.{parameter}"]
        hidden = torch.tanh(linear(normalized(signal, f"{name}.mlp_norm"), f"{name}.first"))
        assert hidden.shape == (7, 6, 24)
        signal = signal + linear(hidden, f"{name}.second")
    expected = linear(normalized(signal.mean(1), "norm"), "output")
    assert not left
    torch.testing.assert_close(model(inputs), expected)


def test_positions_are_sines_and_cosines_of_column_and_row() -> None:
    positions = sine_cosine_positions(3, 5, 12)
    for row in range(3):
        for column in range(5):
            angles = [[place / 10_000 ** (k / 2) for k in range(3)] for place in (column, row)]
            expected = [wave(angle) for place in angles for wave in (math.sin, math.cos) for angle in place]
            torch.testing.assert_close(positions[row * 5 + column], torch.tensor(expected))


def test_without_positions_it_would_not_know_the_order() -> None:
    model = VisionTransformer((1, 8, 8), 5, TANH, patch=4, width=8, depth=1, heads=2).double()
    inputs = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    swapped = inputs.roll(4, 3)  # left and right patches
    assert not torch.allclose(model(inputs), model(swapped))
    model.positions.zero_()
    torch.testing.assert_close(model(inputs), model(swapped))


def test_dropout_acts_while_training_only() -> None:
    model = VisionTransformer((1, 8, 8), 5, TANH, width=8, heads=2, dropout=0.5)
    inputs = torch.randn(2, 1, 8, 8)
    assert not torch.equal(model(inputs), model(inputs))
    model.eval()
    assert torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((13,), {}, r"model=vit needs images .* shape \(13,\); use model=mlp"),
        ((1, 28, 28), {"patch": 3}, r"model.patch=3: does not divide the 28×28 image into whole patches"),
        ((1, 28, 30), {"patch": 4}, r"model.patch=4: does not divide the 28×30 image into whole patches"),
        ((1, 8, 8), {"heads": 3}, r"model.width=64: expected a multiple of model.heads=3"),
        ((1, 8, 8), {"width": 6, "heads": 2}, r"model.width=6: positions need a multiple of 4, of at least 8"),
        ((1, 8, 8), {"width": 4}, r"model.width=4: positions need a multiple of 4, of at least 8"),
        ((1, 8, 8), {"patch": 0}, r"model.patch=0: expected a whole number of at least 1"),
        ((1, 8, 8), {"depth": 0}, r"model.depth=0: expected a whole number of at least 1"),
        ((1, 8, 8), {"ratio": 0}, r"model.ratio=0: expected a whole number of at least 1"),
        ((1, 8, 8), {"dropout": 1.0}, r"model.dropout=1.0: expected a probability in \[0, 1\)"),
    ],
)
def test_refusals(shape: tuple[int, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        VisionTransformer(shape, 3, TANH, **settings)
