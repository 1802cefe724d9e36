"""The decoder-only transformer, against torch's own modules and the formulas of its norms and residuals."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.cohort.engines import LoopEngine, VmapEngine
from initlab.data.dataset import Split
from initlab.data.losses import Loss
from initlab.data.tasks import by_steps, cross_entropy
from initlab.models.gpt import GPT
from initlab.models.transformer import RESIDUALS, SCALED_SKIPS, Attention, TransformerBlock
from initlab.models.vision_transformer import VisionTransformer
from initlab.modules.stack import stack_members
from initlab.sweep.checks import check_job
from initlab.sweep.probing import probe_job
from tests.helpers import layer, linear, make_job, run
from tests.models.helpers import scramble
from tests.models.test_vision_transformer import torchs_attention

STEPS, KINDS, WIDTH, DEPTH = 6, 7, 8, 2


def gpt(*, vectors: bool = False, outputs: int = KINDS, activation: str = "gelu", **settings: Any) -> GPT:
    shape, vocabulary = ((STEPS, 3), None) if vectors else ((STEPS,), KINDS)
    known = {"width": WIDTH, "heads": 2, "depth": DEPTH, "every_step": True, **settings}
    return GPT(shape, outputs, Activation(activation), vocabulary=vocabulary, **known)


def rows(count: int = 4, *, vectors: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if vectors:
        return torch.randn(count, STEPS, 3, dtype=torch.float64, generator=generator)
    return torch.randint(0, KINDS, (count, STEPS), generator=generator)


def scrambled(**settings: Any) -> GPT:
    model = gpt(**settings).double()
    scramble(model)
    return model


def attention_of(block: nn.Module) -> Attention:
    found = block.get_submodule("attention")
    assert isinstance(found, Attention)
    return found


def torchs_block(block: TransformerBlock, *, norm_first: bool) -> nn.TransformerEncoderLayer:
    """torch's layer with the same weights."""
    attention = attention_of(block)
    hidden = linear(block, "first").out_features
    theirs = nn.TransformerEncoderLayer(
        WIDTH, attention.heads, hidden, 0.0, "gelu", batch_first=True, norm_first=norm_first, dtype=torch.float64
    )
    theirs.self_attn = torchs_attention(attention)
    parts = {"linear1": "first", "linear2": "second", "norm1": "attention_norm", "norm2": "mlp_norm"}
    for name, ours in parts.items():
        theirs.get_submodule(name).load_state_dict(block.get_submodule(ours).state_dict())
    return theirs


@pytest.mark.parametrize("vectors", [False, True], ids=["tokens", "vectors"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_it_is_torchs_own_layers_in_a_row(norm: str, vectors: bool) -> None:
    model, inputs = scrambled(norm=norm, vectors=vectors, every_step=not vectors), rows(vectors=vectors)
    value = dict(model.named_parameters())
    if vectors:
        signal = F.linear(inputs, value["embedding.weight"], value["embedding.bias"])
    else:
        signal = F.one_hot(inputs, KINDS).double() @ value["tokens.weight"]
    signal = signal + value["positions.weight"]
    mask = nn.Transformer.generate_square_subsequent_mask(STEPS, dtype=torch.float64)
    for block in model.blocks:
        assert isinstance(block, TransformerBlock)
        signal = torchs_block(block, norm_first=norm == "pre")(signal, src_mask=mask)
    if norm == "pre":
        signal = F.layer_norm(signal, (WIDTH,), value["norm.weight"], value["norm.bias"])
    expected = F.linear(signal, value["output.weight"], value["output.bias"])
    torch.testing.assert_close(model(inputs), expected[:, -1] if vectors else expected)


@pytest.mark.parametrize("norm", ["pre", "post", "rms", "sub", "none"])
def test_no_step_sees_a_later_one(norm: str) -> None:
    model, inputs = scrambled(norm=norm), rows()
    before = model(inputs)
    for step in range(1, STEPS):
        changed = inputs.clone()
        changed[:, step:] = (changed[:, step:] + 1) % KINDS
        after = model(changed)
        assert torch.equal(after[:, :step], before[:, :step])
        assert not torch.isclose(after[:, step], before[:, step]).any()


def formula(
    model: GPT, inputs: Tensor, block_of: Callable[[nn.Module, Tensor, Callable[..., Tensor]], Tensor]
) -> Tensor:
    """The network with its attention written step by step, and the blocks of a test."""

    def attended(attention: Attention, seen: Tensor, factor: float, inner: Callable[[Tensor], Tensor]) -> Tensor:
        query, key, value = (linear(attention, name)(seen) for name in ("query", "key", "value"))
        size = WIDTH // attention.heads
        mixed = torch.zeros_like(query)
        for head in range(attention.heads):
            own = slice(head * size, (head + 1) * size)
            for step in range(STEPS):
                scores = (key[:, : step + 1, own] * query[:, step : step + 1, own]).sum(-1) * factor
                shares = scores.exp() / scores.exp().sum(-1, keepdim=True)
                mixed[:, step, own] = (shares.unsqueeze(-1) * value[:, : step + 1, own]).sum(1)
        result: Tensor = linear(attention, "out")(inner(mixed))
        return result

    signal = layer(model, "tokens", nn.Embedding).weight[inputs] + model.positions.weight
    for block in model.blocks:
        signal = block_of(block, signal, attended)
    logits: Tensor = linear(model, "output")(model.norm(signal))
    return logits


def mlp(block: nn.Module, seen: Tensor, inner: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    result: Tensor = linear(block, "second")(inner(F.gelu(linear(block, "first")(seen))))
    return result


def test_sub_norms_stand_before_the_last_layer_of_each_branch() -> None:
    model = scrambled(norm="sub")

    def block_of(block: nn.Module, signal: Tensor, attended: Callable[..., Tensor]) -> Tensor:
        def normed(name: str) -> Callable[[Tensor], Tensor]:
            norm = layer(block, name, nn.LayerNorm)

            def apply(x: Tensor) -> Tensor:
                centred = x - x.mean(-1, keepdim=True)
                return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias

            return apply

        seen = normed("attention_norm")(signal)
        signal = signal + attended(attention_of(block), seen, (WIDTH / 2) ** -0.5, normed("attention.out_norm"))
        return signal + mlp(block, normed("mlp_norm")(signal), normed("second_norm"))

    torch.testing.assert_close(model(rows()), formula(model, rows(), block_of))


def test_deepnorm_multiplies_the_skip_and_normalizes_the_sum() -> None:
    model = scrambled(norm="post", residual="deepnorm", depth=3)

    def block_of(block: nn.Module, signal: Tensor, attended: Callable[..., Tensor]) -> Tensor:
        alpha = math.exp(math.log(6) / 4)
        branch = attended(attention_of(block), signal, (WIDTH / 2) ** -0.5, lambda x: x)
        signal = layer(block, "attention_norm", nn.LayerNorm)(signal * alpha + branch)
        result: Tensor = layer(block, "mlp_norm", nn.LayerNorm)(signal * alpha + mlp(block, signal))
        return result

    torch.testing.assert_close(model(rows()), formula(model, rows(), block_of))


@pytest.mark.parametrize("residual", ["rezero", "skipinit", "layerscale"])
def test_learned_multipliers_end_the_branches(residual: str) -> None:
    """ReZero has one number a block, SkipInit one a branch, LayerScale one for each unit of a branch."""
    model = scrambled(norm="none", residual=residual, attention_scale="mup", attention_base=9)
    sizes = {"rezero": [1] * DEPTH, "skipinit": [1] * 2 * DEPTH, "layerscale": [WIDTH] * 2 * DEPTH}
    factors = [one.get_parameter("factor") for one in model.residual_multipliers()]
    assert [len(factor) for factor in factors] == sizes[residual]
    each = [factor for factor in factors for _ in range(2 if residual == "rezero" else 1)]

    def block_of(block: nn.Module, signal: Tensor, attended: Callable[..., Tensor]) -> Tensor:
        first, second = each.pop(0), each.pop(0)
        signal = signal + first * attended(attention_of(block), signal, 3 / (WIDTH / 2), lambda x: x)
        return signal + second * mlp(block, signal)

    expected = formula(model, rows(), block_of)
    assert not each
    torch.testing.assert_close(model(rows()), expected)


def test_rms_norms_divide_by_the_root_of_the_mean_square() -> None:
    norm = layer(scrambled(norm="rms"), "blocks.0.mlp_norm", nn.RMSNorm)
    numbers = torch.randn(5, WIDTH, dtype=torch.float64)
    expected = numbers / (numbers.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    torch.testing.assert_close(norm(numbers), expected)


@pytest.mark.parametrize("residual", ["rezero", "skipinit"])
@pytest.mark.parametrize("model", ["gpt", "vit"])
def test_a_block_with_zero_multipliers_is_the_identity(model: str, residual: str) -> None:
    """Exactly; in the first step the multipliers alone get a gradient, and after it all do."""
    built: GPT | VisionTransformer
    if model == "gpt":
        built, inputs = gpt(norm="none", residual=residual), rows()
    else:
        settings: dict[str, Any] = {"width": 8, "heads": 2, "depth": DEPTH, "norm": "none", "residual": residual}
        built, inputs = VisionTransformer((1, 8, 8), KINDS, Activation("gelu"), **settings), torch.randn(4, 1, 8, 8)
    signal = torch.randn(4, STEPS, WIDTH)
    assert torch.equal(built.blocks[0](signal), signal)
    optimizer = torch.optim.SGD(built.parameters(), lr=0.1)
    for step in (1, 2):
        optimizer.zero_grad()
        built(inputs).square().sum().backward()
        for branch in built.residual_branches():
            assert all(bool(part.get_parameter("weight").grad.any()) is (step == 2) for part in branch)  # type: ignore[union-attr]
        assert all(part.get_parameter("factor").grad.any() for part in built.residual_multipliers())  # type: ignore[union-attr]
        optimizer.step()


def test_layerscale_starts_where_it_is_told() -> None:
    for start in (1e-4, 0.1):
        for part in gpt(residual="layerscale", layerscale=start).residual_multipliers():
            assert (part.get_parameter("factor") == torch.tensor(start)).all()


@pytest.mark.parametrize("scheme", ["he", "zeros", "fixup"])
@pytest.mark.parametrize("residual", RESIDUALS)
def test_every_scheme_lets_multipliers_start_anew(residual: str, scheme: str) -> None:
    model = gpt(residual=residual, norm="post" if residual in SCALED_SKIPS else "pre")
    starts = {"rezero": 0.0, "skipinit": 0.0, "layerscale": 1e-4}
    with torch.no_grad():
        for part in (*model.residual_multipliers(), *model.skip_multipliers()):
            part.get_parameter("factor").fill_(3.0)
    if scheme == "fixup" and starts.get(residual) == 0:  # whose own zeros would be a second 0 in each branch
        with pytest.raises(UserError, match="multipliers of GPT start from 0, too, so that no gradient would pass"):
            initlab.initialize(model, scheme, seed=0)
        return
    report = initlab.initialize(model, scheme, seed=0)
    assert len(model.skip_multipliers()) == (2 * DEPTH if residual == "admin" else 0)
    assert all(bool((part.get_parameter("factor") == 1).all()) for part in model.skip_multipliers())
    assert bool(model.residual_multipliers()) is (residual in starts)
    for part in model.residual_multipliers():
        torch.testing.assert_close(
            part.get_parameter("factor"), torch.full_like(part.get_parameter("factor"), starts[residual])
        )
    if residual in starts:
        assert report["blocks.0.attention_multiplier.factor"].rule == f"start: {starts[residual]:g}"


def test_tied_weights_are_one_tensor_with_one_gradient() -> None:
    tied, loose = scrambled(tied=True), scrambled()
    assert tied.output.weight is tied.tokens.weight
    assert sum(p.numel() for p in loose.parameters()) - sum(p.numel() for p in tied.parameters()) == KINDS * WIDTH
    loose.load_state_dict(tied.state_dict())
    for model in (tied, loose):
        F.cross_entropy(model(rows()).flatten(0, 1), rows().flatten()).backward()
    assert tied.tokens.weight.grad is not None
    assert loose.tokens.weight.grad is not None
    assert loose.output.weight.grad is not None
    torch.testing.assert_close(tied.tokens.weight.grad, loose.tokens.weight.grad + loose.output.weight.grad)


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "pre", "tied": True},
        {"norm": "sub", "residual": "layerscale", "bias": False},
        {"norm": "none", "residual": "rezero"},
        {"norm": "post", "residual": "deepnorm", "attention_scale": "mup"},
        {"norm": "post", "residual": "admin"},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_both_engines_give_each_member_what_it_gets_alone(settings: dict[str, Any]) -> None:
    models = [scrambled(**settings) for _ in range(3)]
    for number, model in enumerate(models):
        initlab.initialize(model, "xavier", seed=number)
        for part in model.residual_multipliers():
            nn.init.constant_(part.get_parameter("factor"), 0.5)
    split, batches = Split(rows(8), rows(8).roll(1, 1)), torch.tensor([[0, 1, 2], [3, 4, 5], [5, 6, 7]])
    loss = Loss(by_steps(cross_entropy))
    for kind in (VmapEngine, LoopEngine):
        stack = stack_members(models)
        engine = kind(stack, loss, torch.enable_grad)
        for _ in range(2):  # the template of the first pass serves the second
            outputs, losses = engine.gradients(split, batches)
        assert stack.template(split.inputs).shape == (8, STEPS, KINDS)  # no member's tensor was left in it
        for place, model in enumerate(models):
            inputs, targets = split.inputs[batches[place]], split.targets[batches[place]]
            model.zero_grad()
            F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
            torch.testing.assert_close(outputs[place], model(inputs).detach())
            torch.testing.assert_close(
                losses[place].mean(), F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).detach()
            )
            for name, parameter in model.named_parameters():
                gradient = stack.parameters[name].grad
                assert gradient is not None, name
                torch.testing.assert_close(gradient[place], parameter.grad, msg=name)


def test_it_has_some_hundred_thousand_parameters_by_default() -> None:
    model = GPT((64,), 100, Activation("gelu"), vocabulary=100, every_step=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == 117_092


def test_vits_names_are_what_they_were() -> None:
    model = VisionTransformer((1, 8, 8), 5, Activation("tanh"), width=8, heads=2, depth=1)
    block = ["attention_norm", *(f"attention.{name}" for name in ("query", "key", "value", "out"))]
    block += ["mlp_norm", "first", "second"]
    layers = ["embedding", *(f"blocks.0.{name}" for name in block), "norm", "output"]
    assert list(model.state_dict()) == [
        "positions",
        *(f"{name}.{part}" for name in layers for part in ("weight", "bias")),
    ]


def test_dropout_acts_while_training_only() -> None:
    model = gpt(dropout=0.5)
    assert not torch.equal(model(rows()), model(rows()))
    model.eval()
    assert torch.equal(model(rows()), model(rows()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, r"model.width=8: expected a multiple of model.heads=3"),
        ({"norm": "batch"}, r"model.norm=batch: expected one of pre, post, rms, sub, none"),
        ({"residual": "x"}, r"model.residual=x: expected one of plain, rezero, skipinit, layerscale, deepnorm, admin"),
        ({"attention_scale": "x"}, r"model.attention_scale=x: expected one of sqrt, mup"),
        ({"attention_base": 0}, r"model.attention_base=0: expected a whole number of at least 1"),
        ({"residual": "deepnorm"}, r"model.residual=deepnorm: .* not norm=pre; set norm=post"),
        (
            {"tied": True, "vectors": True},
            r"model.tied=true: needs an output for each token; .*7 for vectors of numbers",
        ),
        ({"tied": True, "outputs": 2}, r"model.tied=true: needs an output for each token; .*2 for 7 kinds of tokens"),
        ({"depth": 0}, r"model.depth=0: expected a whole number of at least 1"),
        ({"dropout": 1.0}, r"model.dropout=1.0: expected a probability in \[0, 1\)"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        gpt(**settings)


def test_a_sweep_leaves_out_skips_that_do_not_go_with_the_norm() -> None:
    with pytest.raises(RefusedError, match="set norm=post"):
        gpt(residual="deepnorm", norm="pre")


def test_vit_refuses_the_same() -> None:
    with pytest.raises(UserError, match=r"model.residual=deepnorm: .* set norm=post"):
        VisionTransformer((1, 8, 8), 3, Activation("tanh"), residual="deepnorm")


def test_it_is_checked_before_it_trains() -> None:
    """As any network; a mistake in what it is told is found there, and it is not taken for one that ignores steps."""
    data = ("data=function", "model.width=8")
    for call in ("tokens", "vectors"):
        assert check_job(make_job(*data, f"data.call=tests.models.sequences.{call}", "model=gpt")) == []


def test_training_and_probe_run_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What theory does not cover is said: all of it for tokens, and for vectors all that follows the embedding."""
    small = "model=gpt model.width=8 model.heads=2 seeds=2 logger=none report=false"
    for call in ("tokens", "vectors"):
        data = f"data=function data.call=tests.models.sequences.{call}"
        assert run(f"{data} {small} trainer.max_epochs=1 name={call}", monkeypatch, tmp_path) == 0
        probed = probe_job(make_job(*data.split(), *small.split()))
        names = list(probed.signal["layer"].unique())
        assert names[:2] == ["tokens" if call == "tokens" else "embedding", "positions"]
        assert names[-1] == "output"
        assert not probed.unseen
        assert (probed.signal["gradient_second_moment"] > 0).all()
        predicted = set(probed.signal["layer"][probed.signal["predicted_second_moment"].notna()])
        assert predicted == ({"embedding"} if call == "vectors" else set())
        assert probed.signal["no_prediction"][probed.signal["predicted_second_moment"].isna()].str.len().gt(0).all()


def test_images_are_no_sequences() -> None:
    with pytest.raises(
        UserError, match=r"model=gpt needs sequences.* shape \(1, 8, 8\); use model=mlp, or for images vit"
    ):
        make_job("data=digits", "model=gpt").network.build()
