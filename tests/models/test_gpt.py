"""The decoder-only transformer, against torch's own modules, and the ways its norms and branches are wired."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.models.gpt import GPT
from initlab.models.transformer import Attention, TransformerBlock, Wiring
from tests.models.helpers import scramble
from tests.models.test_vision_transformer import torchs_attention

STEPS, KINDS, WIDTH = 7, 11, 12
RELU = Activation("relu")


def gpt(**options: Any) -> GPT:
    """A small one in float64, its numbers unlike any default's, that answers at each step."""
    chosen: dict[str, Any] = {
        "vocabulary": KINDS,
        "every_step": True,
        "width": WIDTH,
        "depth": 2,
        "heads": 3,
        **options,
    }
    model = GPT((STEPS,), KINDS, RELU, **chosen).double()
    scramble(model)
    return model


def some_tokens(rows: int = 4) -> Tensor:
    return torch.randint(KINDS, (rows, STEPS), generator=torch.Generator().manual_seed(0))


def torchs_layer(block: Any, *, first: bool) -> nn.TransformerEncoderLayer:
    """torch's own block with the same weights."""
    layer = nn.TransformerEncoderLayer(
        WIDTH, 3, block.first.out_features, 0.0, batch_first=True, norm_first=first, dtype=torch.float64
    )
    layer.self_attn.load_state_dict(torchs_attention(block.attention).state_dict())
    layer.linear1.load_state_dict(block.first.state_dict())
    layer.linear2.load_state_dict(block.second.state_dict())
    layer.norm1.load_state_dict(block.attention_norm.state_dict())
    layer.norm2.load_state_dict(block.mlp_norm.state_dict())
    return layer


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_it_is_what_torchs_layers_make(norm: str) -> None:
    model, tokens = gpt(norm=norm), some_tokens()
    signal = model.tokens.weight[tokens] + model.positions.weight
    mask = nn.Transformer.generate_square_subsequent_mask(STEPS, dtype=torch.float64)
    for block in model.blocks:
        signal = torchs_layer(block, first=norm == "pre")(signal, src_mask=mask)
    if norm == "pre":
        last: Any = model.norm
        signal = nn.functional.layer_norm(signal, (WIDTH,), last.weight, last.bias)
    torch.testing.assert_close(model(tokens), signal @ model.output.weight.T + model.output.bias)
    once = GPT((STEPS,), KINDS, RELU, vocabulary=KINDS, width=WIDTH, heads=3, norm=norm).double()
    once.load_state_dict(model.state_dict())
    torch.testing.assert_close(once(tokens), model(tokens)[:, -1])


@pytest.mark.parametrize("norm", ["pre", "post", "rms", "sub", "none"])
def test_no_step_sees_a_later_one(norm: str) -> None:
    model, tokens = gpt(norm=norm), some_tokens()
    for step in range(STEPS - 1):
        other = tokens.clone()
        other[:, step + 1 :] = (other[:, step + 1 :] + 1) % KINDS
        after, before = model(other), model(tokens)
        torch.testing.assert_close(after[:, : step + 1], before[:, : step + 1])
        assert not torch.allclose(after[:, step + 1], before[:, step + 1])


def test_a_step_that_is_a_vector_goes_through_a_linear_layer() -> None:
    model = GPT((STEPS, 3), 1, RELU, width=WIDTH, heads=3).double()
    scramble(model)
    vectors = torch.randn(4, STEPS, 3, dtype=torch.float64)
    signal = vectors @ model.embedding.weight.T + model.embedding.bias + model.positions.weight
    for block in model.blocks:
        signal = block(signal, model.mask)
    torch.testing.assert_close(model(vectors), model.output(model.norm(signal[:, -1])))
    assert model(vectors[:, :4]).shape == (4, 1)  # a shorter sequence


@pytest.mark.parametrize("residual", ["rezero", "skipinit"])
def test_multipliers_of_zero_leave_the_stream_bit_for_bit(residual: str) -> None:
    """Before training; and any initializer puts them back there."""
    model = gpt(residual=residual)
    initlab.initialize(model, "he", activation="relu", seed=0)
    signal = torch.randn(4, STEPS, WIDTH, dtype=torch.float64)
    for block in model.blocks:
        assert torch.equal(block(signal, model.mask), signal)
    assert len(model.residual_multipliers()) == (2 if residual == "rezero" else 4)
    model(some_tokens()).square().mean().backward()
    multipliers: list[Any] = model.residual_multipliers()
    assert all(one.factor.grad.abs().item() > 0 for one in multipliers)
    assert all(not layer.weight.grad.any() for branch in model.residual_branches() for layer in branch)  # type: ignore[union-attr, operator]


def test_layerscale_starts_where_it_is_told_to() -> None:
    model = gpt(residual="layerscale", layerscale=0.25)
    report = initlab.initialize(model, "he", activation="relu", seed=0)
    multipliers: list[Any] = model.residual_multipliers()
    assert all(torch.equal(one.factor, torch.full((WIDTH,), 0.25, dtype=torch.float64)) for one in multipliers)
    assert report["blocks.0.attention_multiplier.factor"].rule == "start: 0.25"
    block: Any = model.blocks[0]
    signal = torch.randn(2, STEPS, WIDTH, dtype=torch.float64)
    branch = block.attention(block.attention_norm(signal), model.mask)
    middle = signal + branch / 4
    mlp = block.second(block.first(block.mlp_norm(middle)).relu())
    torch.testing.assert_close(block(signal, model.mask), middle + mlp / 4)


def test_deepnorm_multiplies_the_skip_by_the_fourth_root_of_twice_the_depth() -> None:
    model = gpt(norm="post", residual="deepnorm", depth=8)
    block: Any = model.blocks[3]
    signal = torch.randn(2, STEPS, WIDTH, dtype=torch.float64)
    middle = block.attention_norm(2 * signal + block.attention(signal, model.mask))
    expected = block.mlp_norm(2 * middle + block.second(block.first(middle).relu()))
    torch.testing.assert_close(block(signal, model.mask), expected)


def test_sub_norm_stands_before_the_last_layer_of_each_branch() -> None:
    block: Any = TransformerBlock(WIDTH, 3, 24, RELU, 0.0, depth=1, wiring=Wiring(norm="sub")).double()
    scramble(block)
    for name in ("out", "second"):
        layer = block.get_submodule("attention.out" if name == "out" else name)
        seen: list[Tensor] = []
        layer.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        norm = block.attention.out_norm if name == "out" else block.second_norm
        with torch.no_grad():
            norm.weight.fill_(1)
            norm.bias.zero_()
        block(torch.randn(2, STEPS, WIDTH, dtype=torch.float64))
        torch.testing.assert_close(seen[0].mean(-1), torch.zeros(2, STEPS, dtype=torch.float64))
        torch.testing.assert_close(
            seen[0].var(-1, correction=0), torch.ones(2, STEPS, dtype=torch.float64), rtol=1e-3, atol=0
        )


def test_scores_of_mup_shrink_with_the_size_of_a_head() -> None:
    """√base/d: a head four times as large as the base has scores half as large as with 1/√d."""
    ours = Attention(32, 2, Wiring(attention_scale="mup", attention_base=4)).double()
    usual = Attention(32, 2).double()
    usual.load_state_dict(ours.state_dict())
    with torch.no_grad():
        usual.query.weight.div_(2)
        usual.query.bias.div_(2)
    tokens = torch.randn(2, 5, 32, dtype=torch.float64)
    torch.testing.assert_close(ours(tokens), usual(tokens))


def test_tied_weights_are_one_tensor_and_get_both_gradients() -> None:
    model, tokens = gpt(tied=True), some_tokens()
    assert model.output.weight is model.tokens.weight
    model(tokens).square().mean().backward()
    both = model.tokens.weight.grad
    untied = gpt()
    untied.load_state_dict({**model.state_dict()})
    untied(tokens).square().mean().backward()
    assert untied.tokens.weight.grad is not None
    assert untied.output.weight.grad is not None
    torch.testing.assert_close(both, untied.tokens.weight.grad + untied.output.weight.grad)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"heads": 5}, "model.width=12: expected a multiple of model.heads=5"),
        ({"norm": "batch"}, "model.norm=batch: expected one of pre, post, rms, sub, none"),
        ({"residual": "none"}, "model.residual=none: expected one of plain, rezero"),
        ({"residual": "deepnorm"}, "model.residual=deepnorm: normalizes after the sum, not norm=pre; set norm=post"),
        ({"depth": 0}, "model.depth=0: expected a whole number of at least 1"),
        ({"attention_scale": "none"}, "model.attention_scale=none: expected one of sqrt, mup"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_line(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        gpt(**options)


def test_a_sweep_leaves_out_skips_that_do_not_go_with_the_norm() -> None:
    with pytest.raises(RefusedError, match="set norm=post"):
        gpt(residual="deepnorm", norm="pre")


def test_only_tokens_can_be_tied() -> None:
    with pytest.raises(UserError, match=r"model.tied=true: needs an output for each token; here are 5 for 11 kinds"):
        GPT((STEPS,), 5, RELU, vocabulary=KINDS, tied=True)
    with pytest.raises(UserError, match="here are 5 for vectors of numbers"):
        GPT((STEPS, 2), 5, RELU, tied=True)
