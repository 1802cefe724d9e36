"""What odd networks, losses and files bring about: one line, and everything as it was."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

import initlab
from initlab.activations import Activation
from initlab.base.errors import InitializationWarning, OwnCodeError, UserError
from initlab.initializers import list_initializers
from initlab.models.residual_mlp import ResidualMLP
from initlab.models.vision_transformer import VisionTransformer
from tests.initializers.networks import chain, is_special

LOOKING = [
    scheme.name for scheme in list_initializers().values() if "batch" in scheme.needs and not is_special(scheme.name)
]
QUICK = {"metainit": {"steps": 2}, "gradinit": {"steps": 2}}


def run(model: nn.Module, scheme: str, inputs: Any, **parameters: Any) -> initlab.initializers.InitReport:
    rows = len(inputs[0] if isinstance(inputs, tuple) else inputs)
    return initlab.initialize(
        model, scheme, activation="relu", batch=(inputs, torch.arange(rows) % 3), loss=F.cross_entropy, seed=0,
        **{**QUICK.get(scheme, {}), **parameters},
    )  # fmt: skip


class Wrapped(nn.Module):
    """A layer, something in between, and an output of three."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.second(self.between(torch.relu(self.first(inputs))))
        return result

    def between(self, signal: Tensor) -> Tensor:
        return signal


class Noisy(Wrapped):
    def between(self, signal: Tensor) -> Tensor:
        return F.dropout(signal, 0.5) + torch.randn_like(signal)


@pytest.mark.parametrize("scheme", LOOKING)
def test_networks_that_draw_random_numbers(scheme: str) -> None:
    inputs = torch.randn(30, 8)
    state = torch.random.get_rng_state()
    models = [Noisy() for _ in range(2)]
    for number, model in enumerate(models):
        torch.manual_seed(number)
        before = torch.random.get_rng_state()
        run(model, scheme, inputs)
        assert torch.equal(torch.random.get_rng_state(), before)
    torch.random.set_rng_state(state)
    assert torch.equal(models[0].first.weight, models[1].first.weight)
    assert torch.equal(models[0].second.weight, models[1].second.weight)


class Caching(Wrapped):
    """Fills a buffer, replaces another, adds a third and counts, whenever it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lazy", None)
        self.register_buffer("resized", torch.zeros(2))
        self.register_buffer("count", torch.zeros(1).expand(4))

    def between(self, signal: Tensor) -> Tensor:
        self.lazy, self.resized = signal.detach(), torch.zeros(len(signal))
        self.register_buffer("more", torch.ones(3))
        return signal


@pytest.mark.parametrize("scheme", LOOKING)
def test_buffers_are_put_back(scheme: str) -> None:
    model = Caching()
    kept = dict(model.named_buffers())
    run(model, scheme, torch.randn(30, 8))
    assert model.lazy is None
    assert dict(model.named_buffers()) == kept


def test_nothing_stays_behind_after_an_error() -> None:
    class Breaks(Noisy):
        runs = 0

        def between(self, signal: Tensor) -> Tensor:
            self.runs += 1
            if self.runs > 1:
                raise ArithmeticError("broken\non purpose")
            return super().between(signal)

    for scheme in LOOKING:
        model = Breaks()
        before = torch.random.get_rng_state()
        with pytest.raises(
            UserError, match=f"init={scheme} failed: ArithmeticError: broken \\(test_robustness.py, line "
        ):
            run(model, scheme, torch.randn(30, 8, generator=torch.Generator().manual_seed(0)))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
        assert model.training


@pytest.mark.parametrize("build", [
    lambda: VisionTransformer((1, 8, 8), 10, Activation("relu"), width=16, depth=2, heads=2),
    lambda: ResidualMLP((64,), 10, Activation("relu")),
])  # fmt: skip
def test_metainit_keeps_norms_off_zero(build: Any) -> None:
    """Its descent may want them at zero, where nothing has a direction."""
    model = build()
    shape = (1, 8, 8) if isinstance(model, VisionTransformer) else (64,)
    report = run(model, "metainit", torch.randn(32, *shape), steps=40, lr=1.0)
    for row in report:
        if "metainit" in row.rule:
            before, after = (float(word.strip(";")) for word in row.note.split()[1:4:2])
            assert after >= 0.0099 * before


def test_gradinit_where_there_is_no_gradient() -> None:
    model = chain().float()
    initlab.initialize(
        model, "gradinit", batch=(torch.zeros(12, 64), torch.zeros(12, 64)), loss=F.mse_loss, steps=3, seed=0
    )
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    with pytest.raises(UserError, match=r"loss or gradient is not finite; choose another init\.base"):
        run(nn.Linear(8, 3), "gradinit", torch.full((12, 8), 1e30), base={"name": "normal", "std": 1e30})


class Tied(nn.Module):
    """Language-model style: the output is the embedding's weight again."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.hidden, self.output = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 20)
        self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.output(torch.relu(self.hidden(self.embedding(tokens)))).mean(1)
        return logits


def test_the_output_layer_of_a_tied_network() -> None:
    model = Tied()
    initlab.initialize(model, "he", output="zeros", seed=0)
    assert not model.output.weight.any()
    assert model.hidden.weight.any()


def test_every_bias_of_a_shared_weight() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    report = initlab.initialize(model, "he", bias=0.25, seed=0)
    assert all(bool((bias == 0.25).all()) for name, bias in model.named_parameters() if name.endswith("bias"))
    assert report["1.bias"].rule == "bias: 0.25"


def test_a_tied_checkpoint_holds_the_weight_once(tmp_path: Path) -> None:
    source, target = Tied(), Tied()
    save_model(source, str(tmp_path / "tied.safetensors"))
    initlab.initialize(target, "pretrained", path=tmp_path / "tied.safetensors", seed=0)
    assert torch.equal(source.output.weight, target.embedding.weight)


def test_compiled_networks_are_filled_like_others() -> None:
    plain, compiled = Wrapped(), Wrapped()
    inputs = torch.randn(30, 8)
    run(plain, "lsuv", inputs)
    around = torch.compile(compiled)
    assert isinstance(around, nn.Module)
    run(around, "lsuv", inputs)
    assert torch.equal(plain.first.weight, compiled.first.weight)


@pytest.mark.parametrize("scheme", LOOKING)
def test_attention_with_masks(scheme: str) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=True)
            self.output = nn.Linear(8, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            padding = torch.zeros(tokens.shape[:2])
            padding[:, -1] = -math.inf
            causal = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
            logits: Tensor = self.output(self.encoder(tokens, mask=causal, src_key_padding_mask=padding).mean(1))
            return logits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of prototypes
        model = Masked()
        run(model, scheme, torch.randn(12, 5, 8))
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


@pytest.mark.parametrize("change", ["frozen", "auxiliary", "dictionary", "integers"])
def test_what_cannot_be_balanced_is_left_alone(change: str) -> None:
    class Odd(Wrapped):
        def __init__(self) -> None:
            super().__init__()
            self.auxiliary = nn.Linear(16, 2)

        def forward(self, inputs: Tensor) -> Any:
            signal = torch.relu(self.first(inputs))
            logits, other = self.second(signal), self.auxiliary(signal)
            choices = {"dictionary": {"a": logits.argmax(-1), "b": logits.detach()}, "integers": logits.argmax(-1)}
            return choices.get(change, (logits, other))

    model = Odd()
    model.first.weight.requires_grad_(change != "frozen")
    report = run(model, "data_dependent", torch.randn(30, 8), skip_frozen=False)
    assert "not balanced" in report["first.weight"].note


class InPlace(Wrapped):
    """Changes what the gradient of the operation before needs, as RWKV does: the loss cannot be differentiated."""

    def between(self, signal: Tensor) -> Tensor:
        return signal.exp().add_(1)


def test_what_cannot_be_differentiated_is_not_balanced() -> None:
    report = run(InPlace(), "data_dependent", torch.randn(30, 8))
    notes = [row.note for row in report if row.fan_in]
    assert notes == ["each channel of variance 1; not balanced: no gradient of the output comes to each layer"] * 2


class OwnGradient(torch.autograd.Function):
    """One that its author got wrong."""

    @staticmethod
    def forward(_: Any, signal: Tensor) -> Tensor:
        return signal.clone()

    @staticmethod
    def backward(_: Any, _gradient: Tensor) -> Tensor:
        raise RuntimeError("not yet")


class Unfinished(Wrapped):
    def between(self, signal: Tensor) -> Tensor:
        passed: Tensor = OwnGradient.apply(signal)
        return passed


@pytest.mark.parametrize("scheme", ["metainit", "gradinit"])
def test_what_cannot_be_differentiated_is_refused(scheme: str) -> None:
    message = f"init={scheme}: InPlace cannot be differentiated as often as this needs: one of the variables needed"
    with pytest.raises(UserError, match=message):
        run(InPlace(), scheme, torch.randn(12, 8))
    message = f"init={scheme}: Bags cannot be differentiated as often as this needs: the derivative for '_embedding_bag"
    bags = type("Bags", (nn.Sequential,), {})(nn.EmbeddingBag(9, 4), nn.Linear(4, 3))
    with pytest.raises(UserError, match=message):
        run(bags, scheme, torch.randint(9, (12, 5)))


@pytest.mark.parametrize("scheme", ["metainit", "gradinit", "data_dependent"])
def test_a_gradient_of_ones_own_that_fails_is_shown(scheme: str) -> None:
    with pytest.raises(OwnCodeError, match=r"not yet \(test_robustness.py, line \d+, in backward\)"):
        run(Unfinished(), scheme, torch.randn(12, 8))


def test_a_weight_beside_layers_of_its_own_module_is_not_looked_at() -> None:
    """What the module returns is not the output of that weight, as in SwiftFormer's attention."""

    class Additive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.final = nn.Linear(8, 8), nn.Linear(8, 8)
            self.share = nn.Parameter(torch.ones(8, 1))

        def initlab_weights(self) -> dict[str, str]:
            return {"share": "in out"}

        def forward(self, inputs: Tensor) -> Tensor:
            query = self.query(inputs)
            result: Tensor = self.final(query * (query @ self.share).softmax(0))
            return result

    for scheme in ("lsuv", "data_dependent", "autoinit"):
        model, base = (nn.Sequential(Additive(), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        inputs = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
        report = run(model, scheme, inputs)
        assert report["0.share"].note == f"as {scheme} found it"
        run(base, "orthogonal" if scheme == "lsuv" else "lecun_normal", inputs)
        assert torch.equal(model.get_parameter("0.share"), base.get_parameter("0.share"))
        if scheme == "lsuv":
            with torch.no_grad():
                assert float(model[0](inputs).std(correction=0)) == pytest.approx(1, abs=1e-4)


def test_channels_stand_before_the_places_of_a_single_row_too() -> None:
    class RowByRow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.out = nn.Conv1d(2, 5, 3), nn.Linear(5, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            rows = [self.layer(row).mean(-1) for row in inputs]
            result: Tensor = self.out(torch.stack(rows))
            return result

    model, inputs = RowByRow(), torch.randn(12, 2, 40)
    run(model, "data_dependent", inputs, balance=False)
    with torch.no_grad():
        channels = model.layer(inputs[0])
    torch.testing.assert_close(channels.std(1, correction=0), torch.ones(5))


def test_recurrent_weights_that_are_computed_are_written_or_named() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        old = nn.utils.weight_norm(nn.LSTM(4, 5), "weight_hh_l0")
    new = spectral_norm(nn.GRUCell(4, 5), "weight_hh")
    with pytest.warns(InitializationWarning, match=r"weight_hh_l0_v \(LSTM computes its weight from it\)"):
        report = initlab.initialize(old, "he", seed=0)
    assert list(report.left) == ["weight_hh_l0_v"]
    report = initlab.initialize(new, "he", seed=0)
    assert "through SpectralNorm" in report["parametrizations.weight_hh.original"].note


def test_the_rule_for_the_output_covers_a_layer_of_several_weights() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 5))
    initlab.initialize(model, "he", output="zeros", seed=0)
    assert not any(parameter.any() for parameter in model[1].parameters())


@pytest.mark.parametrize(
    ("scheme", "parameters", "message"),
    [
        ("normal", {"std": math.nan}, "init.std=nan: expected a finite number"),
        ("normal", {"std": math.inf}, "init.std=inf: expected a finite number"),
        ("he", {"bias": math.nan}, "init.bias=nan: expected a finite number"),
        ("he", {"gain": 1e300}, "init=he_normal makes weights that are not finite: first.weight"),
        ("constant", {"value": math.nan}, "init.value=nan: expected a finite number"),
        (
            "metainit",
            {"base": "zeros"},
            "init=metainit: no weight to tune: all are zero, frozen or computed from others",
        ),
        ("gradinit", {"base": "zeros"}, "init=gradinit: no tensor to scale: all are zero or frozen"),
        ("metainit", {"lr": "fast"}, "init.lr=fast: expected a number"),
    ],
)
def test_bad_numbers_are_refused(scheme: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(Wrapped(), scheme, torch.randn(12, 8), **parameters)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("loss", [lambda o, t: F.cross_entropy(o, t, reduction="none"), lambda _, __: "x", F.mse_loss])
def test_losses_that_do_not_fit(loss: Any) -> None:
    for scheme in ("metainit", "gradinit"):
        rows = (torch.randn(12, 8), torch.arange(12) % 3)
        with pytest.raises(UserError, match=f"init={scheme} failed: ") as error:
            initlab.initialize(Wrapped(), scheme, batch=rows, loss=loss, steps=2, seed=0)
        assert "\n" not in str(error.value)


@pytest.mark.slow
def test_defaults_of_torch_do_not_count() -> None:
    """As to the type of numbers."""
    for scheme in list_initializers().values():
        if scheme.name in ("keep", "mup") or is_special(scheme.name):
            continue
        usual, other = Wrapped(), Wrapped()
        inputs = torch.randn(30, 8)
        run(usual, scheme.name, inputs)
        torch.set_default_dtype(torch.float64)
        try:
            run(other, scheme.name, inputs)
        finally:
            torch.set_default_dtype(torch.float32)
        torch.testing.assert_close(usual.first.weight, other.first.weight, rtol=1e-5, atol=0)


@pytest.mark.slow
def test_nor_does_a_default_device() -> None:
    """The first operation under one takes torch eight seconds."""
    model = Wrapped()
    with torch.device("meta"):
        initlab.initialize(model, "sparse", seed=0)
        initlab.initialize(model, "zero_hadamard", seed=0)
    assert model.first.weight.device.type == "cpu"


def test_small_mistakes_of_the_caller() -> None:
    model = Wrapped()
    with pytest.raises(UserError, match=r"seed=0\.5: expected a whole number"):
        initlab.initialize(model, "he", seed=0.5)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(UserError, match="expected a name, such as 'relu'"):
        initlab.initialize(model, "he", activation=nn.ReLU, seed=0)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(UserError, match="batch: expected tensors with rows first, got Tensor"):
        initlab.initialize(model, "lsuv", batch=torch.tensor(1.0), seed=0)
    with pytest.raises(KeyError, match="nothing"):
        initlab.initialize(model, "he", seed=0)["nothing"]
    before = model.first.weight.detach().clone()
    with pytest.raises(UserError, match="cannot take it"):
        initlab.initialize(model, "lsuv", batch=torch.randn(5, 7), seed=0)
    assert torch.equal(model.first.weight, before)  # a refusal comes before anything is changed


def test_a_network_of_computed_weights_alone() -> None:
    model = nn.Sequential(spectral_norm(nn.Linear(8, 8)), nn.ReLU(), spectral_norm(nn.Linear(8, 3)))
    for scheme in ("lsuv", "data_dependent", "autoinit", "metainit"):
        with pytest.raises(UserError, match="computed from others"):
            run(model, scheme, torch.randn(12, 8))


def test_a_network_without_a_visible_layer() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            return F.linear(inputs, self.layer.weight)

    for scheme in ("lsuv", "data_dependent", "autoinit"):
        with pytest.raises(UserError, match="no layer of Functional is called as a module and has one weight"):
            run(Functional(), scheme, torch.randn(12, 8))
