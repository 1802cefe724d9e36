"""Schemes for whole networks: what they reach, and how they say what they do not."""

import io
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.errors import InitializationWarning, UserError
from initlab.initializers import Batch, initialize_model, list_initializers, parse_init
from initlab.initializers.context import Context, differentiable, measuring
from initlab.initializers.metainit import gradient_quotient
from initlab.initializers.slots import find_slots
from tests.initializers.networks import Residual, batch_for, chain, fill, weights_of


def convolutional(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Convolutions, a pool, a norm and a dense layer for images of 8×8."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), activation(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2), activation(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), activation(),
        nn.Flatten(), nn.Linear(6 * 64, 4),
    ).double()  # fmt: skip


def images(rows: int = 64) -> Tensor:
    return torch.randn(rows, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def outputs_of(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    """The output of each layer with a weight, as the network trains."""
    seen: list[Tensor] = []
    hooks = [slot.layer.register_forward_hook(lambda _, __, output: seen.append(output)) for slot in find_slots(model)]
    with measuring(model), torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return seen


def run(model: nn.Module, scheme: str, batch: Batch | None, *, activation: str | None = "relu", **parameters: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return initialize_model(
        model,
        parse_init({"name": scheme, **parameters}, where="init"),
        activation=Activation(activation) if activation else None,
        seed=0,
        batch=batch,
        loss=F.cross_entropy,
    )


class TestLSUV:
    def test_one_division_is_enough_without_biases(self) -> None:
        """Whatever the scale before: dividing a weight divides its layer's output."""
        for gain in (1e-3, 1.0, 100.0):
            model = convolutional()
            report = run(model, "lsuv", Batch(images()), base={"name": "orthogonal", "gain": gain})
            assert all(abs(float(out.std(correction=0)) - 1) < 1e-9 for out in outputs_of(model, images()))
            weights = [row for row in report if row.rule == "orthogonal, then lsuv"]
            assert [row.note for row in weights] == ["output std 1.0000 after 1 division"] * 4

    def test_biases_are_not_divided_and_take_more_divisions(self) -> None:
        model, base = chain("tanh"), chain("tanh")
        run(base, "orthogonal", None, bias="torch_default")
        report = run(model, "lsuv", batch_for(model), bias="torch_default", tolerance=1e-3, tries=50)
        assert all(torch.equal(model[place].bias, base[place].bias) for place in (0, 2, 4))
        assert all(abs(float(out.std(correction=0)) - 1) < 1e-3 for out in outputs_of(model, batch_for(model).inputs))
        assert any("after 1 division" not in row.note for row in report if "lsuv" in row.rule)

    def test_not_reaching_it_names_the_layer_and_what_was_reached(self) -> None:
        model = chain("tanh")
        for layer in model:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.bias, 0, 5)
        slots = find_slots(model)
        with pytest.warns(InitializationWarning) as caught:
            run(model, "lsuv", Batch(torch.zeros(8, 64, dtype=torch.float64)))
        assert str(caught[0].message) == (
            "init=lsuv: the output of 0 has standard deviation 0, not 1 (it is the same for every row)"
        )
        assert len(caught) == len(slots)

    def test_too_few_tries(self) -> None:
        model = chain("tanh")
        with pytest.warns(InitializationWarning, match=r"has standard deviation 0\.99\d, not 1 \(after 1 division\)"):
            run(model, "lsuv", Batch(batch_for(model).inputs), base="torch_default", bias="torch_default", tries=1,
                tolerance=1e-9)  # fmt: skip

    def test_modes_and_buffers_are_put_back(self) -> None:
        model = convolutional()
        model[6].eval()
        run(model, "lsuv", Batch(images()))
        assert [module.training for module in model] == [True] * 6 + [False] + [True] * 3
        assert (model[6].running_mean == 0).all()
        assert int(model[6].num_batches_tracked) == 0

    def test_a_layer_that_runs_twice_is_adjusted_the_first_time(self) -> None:
        first = nn.Linear(6, 6, bias=False).double()
        model = nn.Sequential(first, nn.ReLU(), first)
        inputs = torch.randn(50, 6, dtype=torch.float64)
        run(model, "lsuv", Batch(inputs))
        assert float(first(inputs).detach().std(correction=0)) == pytest.approx(1)


class TestDataDependent:
    @pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
    def test_channels_are_centred_and_of_unit_variance(self, activation: type[nn.Module]) -> None:
        """Transposed and grouped convolutions included."""
        model = convolutional(activation)
        run(model, "data_dependent", Batch(images()), balance=False)
        for output in outputs_of(model, images()):
            channels = output.movedim(1, 0).flatten(1)
            assert torch.allclose(channels.mean(1), torch.zeros(1, dtype=torch.float64), atol=1e-9)
            assert torch.allclose(channels.std(1, correction=0), torch.ones(1, dtype=torch.float64))

    def test_balancing_leaves_the_output_as_it_is(self) -> None:
        models = [chain(), chain()]
        for model, balance in zip(models, (False, True), strict=True):
            run(model, "data_dependent", batch_for(model), balance=balance)
        inputs = batch_for(models[0]).inputs
        assert not torch.allclose(models[0][0].weight, models[1][0].weight)
        torch.testing.assert_close(models[0](inputs), models[1](inputs))

    @pytest.mark.parametrize("model", [chain("tanh"), Residual()])
    def test_it_does_not_balance_what_would_change(self, model: nn.Module) -> None:
        report = run(model, "data_dependent", batch_for(model))
        assert any("not balanced: that would change the output" in row.note for row in report)
        assert all(
            torch.allclose(out.std(0, correction=0), torch.ones(1, dtype=torch.float64))
            for out in outputs_of(model, batch_for(model).inputs)[:1]
        )

    def test_dead_channels_are_said(self) -> None:
        model = chain()
        with pytest.warns(InitializationWarning) as caught:
            run(model, "data_dependent", Batch(torch.ones(8, 64, dtype=torch.float64)))
        assert "256 channels of 0 are the same for every row" in str(caught[0].message)


class TestAutoInit:
    @pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "softsign"])
    def test_the_real_signal_keeps_its_variance_through_many_layers(self, activation: str) -> None:
        """In a wide net the real pre-activations are nearly normal, so that what it assumes holds."""
        model = chain(activation, width=400, depth=12)
        run(model, "autoinit", batch_for(model), activation=activation)
        stds = [float(out.square().mean().sqrt()) for out in outputs_of(model, batch_for(model).inputs)]
        assert all(0.75 < std < 1.3 for std in stds)

    def test_branches_add_their_variances(self) -> None:
        """φ(x + branch), x and branch of variance 1 each: the next layer meets E[φ(√2 z)²] = 1 under ReLU."""

        class Sum(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first, self.second, self.third = (nn.Linear(200, 200) for _ in range(3))

            def forward(self, inputs: Tensor) -> Tensor:
                signal = self.first(inputs)
                result: Tensor = self.third(torch.relu(signal + self.second(signal)))
                return result

        model = Sum()
        run(model, "autoinit", Batch(torch.randn(64, 200, generator=torch.Generator().manual_seed(0))))
        assert float(model.third.weight.detach().std()) == pytest.approx(math.sqrt(1 / 200), rel=0.02)

    def test_what_no_signal_reaches_is_said(self) -> None:
        model = chain()
        report = run(model, "autoinit", Batch(torch.zeros(8, 64, dtype=torch.float64)))
        assert report["0.weight"].note == "not scaled: nothing reaches it"


class TestMetaInit:
    def test_the_quotient_is_its_definition(self) -> None:
        """mean |(g − Hg)/(g ± ε) − 1| with the whole Hessian written out."""
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        rows = Batch(torch.randn(9, 3, dtype=torch.float64), torch.randint(2, (9,)))
        shapes = [parameter.shape for parameter in model.parameters()]
        flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

        def loss(vector: Tensor) -> Tensor:
            pieces = vector.split([shape.numel() for shape in shapes])
            w1, b1, w2, b2 = (piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True))
            return F.cross_entropy(torch.tanh(rows.inputs @ w1.t() + b1) @ w2.t() + b2, rows.targets)

        gradient = torch.autograd.functional.jacobian(loss, flat)
        hessian = torch.autograd.functional.hessian(loss, flat)
        shifted = gradient + torch.where(gradient >= 0, 1e-5, -1e-5)
        expected = ((gradient - hessian @ gradient) / shifted - 1).abs().mean()
        context = Context(
            find_slots(model), find_slots(model)[-1], frozenset(), rows, F.cross_entropy, None, torch.Generator()
        )
        torch.testing.assert_close(gradient_quotient(model, context, eps=1e-5).detach(), expected)

    def test_it_falls(self) -> None:
        model = chain("tanh")
        report = run(model, "metainit", batch_for(model), steps=40)
        first, last = (float(word) for word in report["0.weight"].note.split("quotient ")[1].split(" → ")[:2])
        assert last < 0.8 * first


@pytest.mark.parametrize("scheme", ["metainit", "gradinit"])
@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(6), nn.InstanceNorm2d(6, affine=True), nn.InstanceNorm2d(6), nn.GroupNorm(2, 6)]
)
def test_norms_have_as_many_derivatives_as_are_needed(scheme: str, norm: nn.Module) -> None:
    model = convolutional()
    model[6] = norm.double()
    report = run(model, scheme, Batch(images(), torch.arange(64) % 4), steps=2)
    assert all(math.isfinite(row.std) for row in report)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(6), nn.InstanceNorm1d(6, affine=True)])
def test_norms_are_rewritten_faithfully(norm: nn.Module) -> None:
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    inputs = torch.randn(5, 6, 7)
    expected = norm(inputs)
    with differentiable(norm):
        torch.testing.assert_close(norm(inputs), expected)


class TestGradInit:
    @staticmethod
    def gradient_norm(model: nn.Module) -> float:
        batch = batch_for(model)
        gradients = torch.autograd.grad(F.cross_entropy(model(batch.inputs), batch.targets), list(model.parameters()))
        return math.sqrt(sum(float(g.square().sum()) for g in gradients))

    def test_an_exploding_gradient_is_brought_under_the_bound(self) -> None:
        model = chain(depth=4)
        base = {"name": "he_normal", "gain": 2.5}
        run(model, "gradinit", batch_for(model), base=base, steps=0)
        assert self.gradient_norm(model) > 50
        run(model, "gradinit", batch_for(model), base=base, steps=300, lr=0.02, gamma=3.0)
        assert self.gradient_norm(model) < 4.0

    def test_the_loss_after_a_step_falls(self) -> None:
        def loss_after_step(model: nn.Module) -> float:
            batch, eta = batch_for(model), 0.1
            parameters = list(model.parameters())
            gradients = torch.autograd.grad(F.cross_entropy(model(batch.inputs), batch.targets), parameters)
            norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.sub_(eta * gradient / norm)
                return float(F.cross_entropy(model(batch.inputs), batch.targets))

        before, after = chain(), chain()
        run(before, "gradinit", batch_for(before), steps=0, gamma=1e9)
        run(after, "gradinit", batch_for(after), steps=60, gamma=1e9)
        assert loss_after_step(after) < loss_after_step(before) - 0.05

    def test_for_adam_it_runs_and_no_scale_falls_below_the_least(self) -> None:
        model = chain()
        report = run(model, "gradinit", batch_for(model), steps=30, lr=0.2, least=0.7, optimizer="adam")
        scales = [float(row.note[2:]) for row in report if row.note.startswith("× ")]
        assert len(scales) == 3
        assert min(scales) == pytest.approx(0.7)


class TestFixup:
    def test_the_output_may_have_its_own_rule(self) -> None:
        model = Residual()
        run(model, "fixup", None, output="ones")
        assert (model.output.weight == 1).all()
        assert not any(block[1].weight.any() for block in model.blocks)  # type: ignore[index]

    def test_networks_without_branches_are_refused(self) -> None:
        with pytest.raises(UserError, match="works on residual branches, and Sequential names none"):
            run(chain(), "fixup", None)
        empty = Residual()
        empty.residual_branches = list  # type: ignore[method-assign,assignment]
        with pytest.raises(UserError, match="has no residual branch; make it deeper"):
            run(empty, "fixup", None)


def test_delta_orthogonal_convolutions_keep_the_norm_through_ten_thousand_layers() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular", bias=False).double()
    signal = torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = float(signal.norm())
    deep = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular", bias=False).double()
    with torch.no_grad():
        run(layer, "delta_orthogonal", None)
        signal = layer(signal)
        for seed in range(9_999):
            if seed % 10 == 0:
                fill_directly(deep, seed)
            signal = deep(signal)
    assert abs(float(signal.norm()) / start - 1) < 1e-5


def fill_directly(layer: nn.Conv2d, seed: int) -> None:
    list_initializers()["delta_orthogonal"].function(
        layer.weight.detach(), generator=torch.Generator().manual_seed(seed)
    )


def test_delta_orthogonal_refuses_to_lose_channels() -> None:
    with pytest.raises(UserError, match="a convolution from 8 to 3 channels cannot keep the norm"):
        run(nn.Conv2d(8, 3, 3), "delta_orthogonal", None)


class TestPretrained:
    def test_from_both_formats(self, tmp_path: Path) -> None:
        source, target = convolutional(), convolutional()
        source(images())  # running statistics are part of it
        save_file(source.state_dict(), tmp_path / "a.safetensors")
        torch.save(source.state_dict(), tmp_path / "a.pt")
        torch.save(
            {"state_dict": {f"net.{k}": v for k, v in source.state_dict().items()}, "epoch": 3}, tmp_path / "l.ckpt"
        )
        for name, prefix in (("a.safetensors", ""), ("a.pt", ""), ("l.ckpt", "net.")):
            report = run(target, "pretrained", None, path=str(tmp_path / name), prefix=prefix)
            for key, value in source.state_dict().items():
                assert torch.equal(target.state_dict()[key], value)
            assert report["0.weight"].note == f"from {name}"

    def test_the_output_layer_may_be_new(self, tmp_path: Path) -> None:
        source, target = chain(), chain()
        target[4] = nn.Linear(256, 3).double()
        torch.save(source.state_dict(), tmp_path / "a.pt")
        run(target, "pretrained", None, path=str(tmp_path / "a.pt"), output="ones")
        assert (target[4].weight == 1).all()
        assert torch.equal(target[2].weight, source[2].weight)

    def test_what_does_not_fit_is_listed(self, tmp_path: Path) -> None:
        state = chain().state_dict()
        del state["2.bias"]
        state["0.weight"] = state["0.weight"][:3]
        state["7.weight"] = state["0.weight"]
        torch.save(state, tmp_path / "a.pt")
        with pytest.raises(UserError) as error:
            run(chain(), "pretrained", None, path=str(tmp_path / "a.pt"))
        assert str(error.value).endswith(
            "does not fit Sequential: 1 missing (2.bias); 1 unknown (7.weight); "
            "1 of another shape (0.weight 3×64 instead of 256×64)"
        )

    def test_a_prefix_that_would_fit_is_named(self, tmp_path: Path) -> None:
        torch.save({f"module.{name}": value for name, value in chain().state_dict().items()}, tmp_path / "a.pt")
        with pytest.raises(UserError, match=r"6 missing .*; 6 unknown .*; init.prefix=module. would fit"):
            run(chain(), "pretrained", None, path=str(tmp_path / "a.pt"))

    def test_nothing_is_run(self, tmp_path: Path) -> None:
        """A pickle that would touch a file: it is refused, and the file is not there."""

        class Evil:
            def __reduce__(self) -> tuple[object, tuple[str, ...]]:
                return Path.touch, (str(tmp_path / "touched"),)

        torch.save({"0.weight": Evil()}, tmp_path / "evil.pt")
        (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"0.weight": Evil()}))
        for name in ("evil.pt", "plain.pkl"):
            with pytest.raises(UserError, match=f"{name}: (wants to run code|damaged)"):
                run(chain(), "pretrained", None, path=str(tmp_path / name))
        with pytest.raises(UserError, match=r"evil.pt: wants to run code, or holds more than tensors"):
            run(chain(), "pretrained", None, path=str(tmp_path / "evil.pt"))
        assert not (tmp_path / "touched").exists()

    def test_damaged_and_absent_files(self, tmp_path: Path) -> None:
        whole = io.BytesIO()
        torch.save(chain().state_dict(), whole)
        contents = {
            "cut.pt": whole.getvalue()[:5000], "empty.pt": b"", "text.pt": b"hello", "text.safetensors": b"hello",
            "numbers.pt": None,
        }  # fmt: skip
        torch.save({"a": 3}, tmp_path / "numbers.pt")
        for name, content in contents.items():
            if content is not None:
                (tmp_path / name).write_bytes(content)
            with pytest.raises(UserError) as error:
                run(chain(), "pretrained", None, path=str(tmp_path / name))
            assert name in str(error.value)
            assert "\n" not in str(error.value)
        for path, message in (
            (None, "name the checkpoint, init.path=FILE"),
            ("nowhere.pt", "nowhere.pt: no such file"),
        ):
            with pytest.raises(UserError, match=message):
                run(chain(), "pretrained", None, path=path)


@pytest.mark.parametrize("scheme", [s.name for s in list_initializers().values() if "batch" in s.needs])
class TestBadBatches:
    def test_none(self, scheme: str) -> None:
        with pytest.raises(UserError, match=f"init={scheme} looks at data: give it a batch"):
            run(chain(), scheme, None)

    def test_nan(self, scheme: str) -> None:
        rows = batch_for(chain())
        rows.inputs[3, 2] = math.nan
        with pytest.raises(UserError, match="batch: holds NaN or infinite numbers"):
            run(chain(), scheme, rows)

    def test_wrong_shape(self, scheme: str) -> None:
        with pytest.raises(UserError, match=r"batch of shape \(8, 3\): Sequential cannot take it: .*8x3 and 64x256"):
            run(chain(), scheme, Batch(torch.zeros(8, 3, dtype=torch.float64), torch.zeros(8, dtype=torch.long)))

    def test_no_rows(self, scheme: str) -> None:
        with pytest.raises(UserError, match=r"expected tensors of equally many rows, at least one; got \(0, 64\)"):
            run(chain(), scheme, Batch(torch.zeros(0, 64), torch.zeros(0)))


def test_what_a_scheme_passes_over_is_said() -> None:
    """Projections inside attention are no modules of their own."""
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    report = run(model, "lsuv", Batch(torch.randn(32, 5, 8)))
    assert report["self_attn.in_proj_weight"].note == "as lsuv found it"
    assert report["linear1.weight"].note.startswith("output std 1.0000")


def test_no_warning_where_everything_is_reached() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scheme in ("lsuv", "data_dependent", "autoinit"):
            fill(chain(), scheme)
    assert np.isfinite([float(weight.detach().std()) for weight in weights_of(chain())]).all()
