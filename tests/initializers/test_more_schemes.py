"""What the schemes of `laws_more` promise beyond their law, and what they refuse."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.initializers.schemes.random_walk import walking_gain
from initlab.initializers.schemes.weight_selection import places
from initlab.models.mlp import MLP
from initlab.models.plain_cnn import PlainCNN
from initlab.models.residual_mlp import ResidualMLP
from tests.helpers import linear, make_job
from tests.initializers.laws_more import Upsampling, exact_walking_gain

RELU = Activation("relu")


@pytest.mark.parametrize("name", ["relu", "identity"])
@pytest.mark.parametrize("width", [9, 12, 100])
def test_the_walking_gain_is_near_the_exact_one(name: str, width: int) -> None:
    exact = exact_walking_gain(width, rectified=name == "relu")
    assert walking_gain(Activation(name), width) == pytest.approx(exact, rel=0.01)


def test_log_norms_of_gradients_walk_without_drift() -> None:
    """Sixty layers of 12 ReLU units, on average over 400 nets; He's weights drift by a seventh a layer."""
    width, depth, nets = 12, 60, 400
    rng = np.random.default_rng(0)
    drifts = {}
    for scheme, gain in (("walk", walking_gain(RELU, width)), ("he", math.sqrt(2))):
        slopes = np.ones((nets, width))
        logs = []
        for _ in range(depth):
            weight = rng.standard_normal((nets, width, width)) * gain / math.sqrt(width)
            slopes = np.einsum("noi,no->ni", weight, slopes) * (rng.random((nets, width)) < 0.5)
            norms = np.linalg.norm(slopes, axis=1)
            logs.append(np.log(norms[norms > 0]))
            slopes /= np.where(norms > 0, norms, 1)[:, None]
        drifts[scheme] = np.concatenate(logs[1:]).mean()
    assert abs(drifts["walk"]) < 0.01
    assert drifts["he"] == pytest.approx(-1.2 / (width - 2.4), abs=0.01)


def test_rai_seldom_lets_a_narrow_deep_net_be_born_dead_and_does_not_let_the_signal_grow() -> None:
    rows = torch.rand(64, 4, generator=torch.Generator().manual_seed(0))
    dead = {"rai": 0, "he_normal": 0}
    for scheme in dead:
        for seed in range(40):
            model = MLP((4,), 1, RELU, depth=16, width=3)
            initlab.initialize(model, scheme, seed=seed, report=False)
            with torch.no_grad():
                dead[scheme] += bool(model(rows).std() == 0)
    assert dead["rai"] < 0.5 * dead["he_normal"]
    wide, signal, squares = MLP((512,), 512, RELU, depth=6, width=512, bias=False), torch.rand(16, 512), []
    initlab.initialize(wide, "rai", seed=0)
    for layer in wide.hidden:
        signal = torch.relu(layer(signal)).detach()
        squares.append(float(signal.square().mean()))
    ratios = [after / before for before, after in itertools.pairwise(squares)]
    assert np.mean(ratios) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("model", [
    lambda: MLP((10,), 4, Activation("gelu"), depth=3, width=20, dropout=0.3),
    lambda: PlainCNN((2, 8, 8), 4, RELU, depth=4, width=8),
])  # fmt: skip
def test_networks_that_look_linear(model: Any) -> None:
    network = model()
    shape = (10,) if isinstance(network, MLP) else (2, 8, 8)
    rows = torch.randn(32, *shape)
    initlab.initialize(network, "looks_linear", batch=rows, seed=0)
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(rows * 3 + 1), 3 * network(rows) + network(torch.ones(1, *shape)))
        assert float(network(rows).std()) > 0.1


class Squeezed(nn.Module):
    """A network that does to its signal what no module tells."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.second(torch.relu(self.first(inputs)) ** 2)
        return result


def lstm() -> nn.Module:
    return nn.ModuleDict({"lstm": nn.LSTM(8, 16), "output": nn.Linear(16, 3)})


@pytest.mark.parametrize(
    ("scheme", "model", "given", "said"),
    [
        ("rai", nn.Linear(8, 3), {"activation": "tanh"}, "init=rai: made for relu, not for tanh"),
        ("random_walk", nn.Linear(8, 3), {"activation": "gelu"}, "has a gain for relu and identity, not for gelu"),
        ("looks_linear", MLP((8,), 3, Activation("tanh")), {}, r"not in proportion to z for tanh; choose relu, "),
        ("looks_linear", MLP((8,), 3, RELU, norm="batch"), {}, "norms.0 is BatchNorm1d, .* not linear"),
        ("looks_linear", MLP((8,), 3, RELU, width=5), {}, "hidden.0.weight has 5 units; .* even in number"),
        ("looks_linear", ResidualMLP((8,), 3, RELU), {}, "ResidualMLP has residual branches; choose a chain"),
        ("looks_linear", lstm(), {"activation": "relu"}, "lstm.weight_ih_l0 is no weight of a dense layer"),
        (
            "looks_linear",
            Squeezed(),
            {"activation": "relu", "batch": torch.randn(16, 8)},
            "Squeezed is not linear with mirrored units",
        ),
        ("icnr", nn.Linear(8, 3), {}, "Linear has no nn.PixelShuffle"),
        ("icnr", nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(4, 4, 3)), {}, "no convolution .* stands before 0"),
        ("icnr", nn.Sequential(nn.Conv2d(4, 6, 3), nn.PixelShuffle(2)), {}, "0.weight has 6 channels, no multiple"),
        ("dropout_adjusted", MLP((8,), 3, RELU), {}, "give it a batch=inputs, or p=PROBABILITY"),
        ("dropout_adjusted", MLP((8,), 3, RELU), {"batch": torch.randn(16, 8)}, "no dropout before a layer of MLP"),
        ("dropout_adjusted", MLP((8,), 3, RELU), {"p": 1.0}, "init.p=1: expected a probability"),
        ("output_prior", nn.Linear(8, 3), {}, "needs classes to count, and the targets are numbers or not given"),
        (
            "output_prior",
            nn.Linear(8, 1),
            {"batch": (torch.randn(6, 8), torch.randn(6, 1)), "loss": F.mse_loss},
            "needs classes to count",
        ),
        ("output_prior", nn.Linear(8, 3), {"shares": [0.5, 0.5]}, "2 classes, and the output layer gives 3 numbers"),
        ("output_prior", nn.Linear(8, 2), {"shares": [1.0, 0.0]}, "expected numbers above 0, one a class"),
        ("output_prior", nn.Linear(8, 3, bias=False), {"shares": [1, 1, 1]}, "layer of Linear, itself, has no bias"),
        ("output_prior", nn.Linear(8, 2), {"shares": [1, 2], "output": "zeros"}, "weight has a rule of its own"),
        ("weight_selection", nn.Linear(8, 3), {}, "name the larger network's checkpoint, init.path=FILE"),
        ("vi3nr", nn.Linear(8, 3), {"activation": "tanh", "sigma_p": 0.0}, "init.sigma_p=0.0: expected a pos"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line_and_changes_nothing(
    scheme: str, model: nn.Module, given: dict[str, Any], said: str
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=said) as error:
        initlab.initialize(model, scheme, seed=0, **given)
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_pixel_shuffle_repeats_its_biases_too() -> None:
    model = Upsampling()
    report = initlab.initialize(model, "icnr", base="torch_default", bias="torch_default", seed=0)
    assert model.convolution.bias is not None
    assert torch.equal(model.convolution.bias, model.convolution.bias[::4].repeat_interleave(4))
    assert report["convolution.weight"].note == "32 kernels, 4 times each, before shuffle"
    assert report["convolution.weight"].rule == "torch_default, then icnr"


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "sine"])
def test_pre_activations_keep_the_size_that_was_asked_for(name: str) -> None:
    """Through 8 wide layers, from a batch of another size than 1."""
    activation = Activation(name)
    model = MLP((256,), 256, activation, depth=8, width=512)
    initlab.initialize(model, "vi3nr", sigma_p=1.5, input_rms=3.0, seed=0)
    signal = 3 * torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    for layer in [*model.hidden, model.output]:
        pre_activation = layer(signal).detach()
        assert float(pre_activation.square().mean().sqrt()) == pytest.approx(1.5, rel=0.15)
        signal = activation.function(pre_activation)


def test_dropout_is_found_where_it_is_and_its_variance_made_up_for() -> None:
    torch.manual_seed(0)
    model = MLP((64,), 64, RELU, depth=5, width=256, dropout=0.6)
    rows = torch.randn(128, 64, generator=torch.Generator().manual_seed(0))
    report = initlab.initialize(model, "dropout_adjusted", batch=rows, seed=0)
    assert report["hidden.0.weight"].note == "as dropout_adjusted found it"
    assert report["hidden.1.weight"].note == report["output.weight"].note == "× 0.632: behind dropout of 0.6"
    sizes = []
    for number in range(8):
        torch.manual_seed(number)
        sizes.append(float(model.train()(rows).detach().square().mean()))
    assert np.mean(sizes) == pytest.approx(2 * float(rows.square().mean()), rel=0.4)  # with He's alone 95 times that


def test_dropout_on_a_residual_branch_or_behind_a_norm_does_not_count() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.drop, self.outer = nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 8)
            self.norm, self.last = nn.LayerNorm(8), nn.Linear(8, 8)

        def forward(self, inputs: Tensor) -> Tensor:
            signal = self.outer(inputs + self.drop(self.inner(inputs)))
            result: Tensor = self.last(self.drop(signal).flatten(1)) + self.inner(self.norm(self.drop(signal)))
            return result

    report = initlab.initialize(Block(), "dropout_adjusted", batch=torch.randn(4, 8), seed=0)
    changed = [row.name for row in report if "behind" in row.note]
    assert changed == ["last.weight"]


def test_the_first_loss_is_the_entropy_of_the_training_rows() -> None:
    job = make_job("data=wine", "init=output_prior", "seeds=2")
    for member in job.members():
        rows = job.dataset_for(member.seed).train
        with torch.no_grad():
            loss = float(F.cross_entropy(job.build_member(member)(rows.inputs), rows.targets))
        assert loss == pytest.approx(stats.entropy(np.bincount(rows.targets.numpy())), abs=1e-6)


def test_numbers_to_fit_have_no_class_shares() -> None:
    job = make_job("data=teacher", "init=output_prior")
    with pytest.raises(RefusedError, match="init=output_prior needs classes to count, and the targets are numbers"):
        job.build_member(job.members()[0])


@pytest.mark.parametrize(("outputs", "targets", "expected"), [
    (4, [0, 0, 1, 3, -100, 0], np.log(np.array([3, 1, 1, 1]) / 6)),  # nobody is of class 2: it counts as one row
    (1, [0.0, 1.0, 0.0, 0.0, 0.0], [-math.log(4)]),
])  # fmt: skip
def test_classes_that_are_rare(outputs: int, targets: list[float], expected: Any) -> None:
    model, labels = nn.Linear(3, outputs), torch.tensor(targets)
    initlab.initialize(model, "output_prior", batch=(torch.randn(len(labels), 3), labels), loss=F.cross_entropy, seed=0)
    np.testing.assert_allclose(model.bias.detach().numpy(), expected, rtol=1e-6)
    assert not model.weight.any()


def test_a_tied_output_keeps_its_weight() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.output = nn.Embedding(5, 4), nn.Linear(4, 5)
            self.output.weight = self.tokens.weight

    with pytest.raises(UserError, match=r"output.weight is shared with tokens.weight; set init\.weights=base"):
        initlab.initialize(Tied(), "output_prior", shares=[1, 1, 1, 1, 1], seed=0)
    model = Tied()
    initlab.initialize(model, "output_prior", shares=[1, 1, 1, 1, 4], weights="base", seed=0)
    assert model.tokens.weight.all()
    assert model.output.bias.exp().tolist() == pytest.approx([0.125] * 4 + [0.5])


def test_weights_are_selected_gate_by_gate_and_block_by_block(tmp_path: Path) -> None:
    def network(width: int, blocks: int, classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({
            "blocks": nn.ModuleList(nn.LSTM(6, width) for _ in range(blocks)), "output": nn.Linear(width, classes)
        })  # fmt: skip

    large, small = network(10, 3, 7), network(4, 2, 3)
    torch.save({"model": large.state_dict()}, tmp_path / "large.pt")
    initlab.initialize(small, "weight_selection", path=str(tmp_path / "large.pt"), output="zeros", seed=0)
    kept = [0, 3, 6, 9]
    wanted = large["blocks"].get_parameter("1.weight_hh_l0").view(4, 10, 10)[:, kept][:, :, kept]
    assert torch.equal(small.get_parameter("blocks.1.weight_hh_l0"), wanted.flatten(0, 1))
    assert torch.equal(
        small.get_parameter("blocks.0.bias_ih_l0"),
        large.get_parameter("blocks.0.bias_ih_l0").view(4, 10)[:, kept].flatten(),
    )
    assert not small.get_parameter("output.weight").any()


def test_a_network_larger_than_the_checkpoint_is_refused_by_its_parameter(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3)).state_dict(), tmp_path / "one.pt")
    path = str(tmp_path / "one.pt")
    with pytest.raises(UserError, match=r"0\.weight is 6×8 there, which is not as large as 7×8$"):
        initlab.initialize(nn.Sequential(nn.Linear(8, 7), nn.Linear(7, 3)), "weight_selection", path=path, seed=0)
    with pytest.raises(UserError, match=r"1\.weight is 3×6 there, .* 4×5; set init\.output$"):
        initlab.initialize(nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 4)), "weight_selection", path=path, seed=0)
    deeper = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3), nn.Linear(3, 3))
    with pytest.raises(UserError, match=r"has no 2\.weight, which Sequential has"):
        initlab.initialize(deeper, "weight_selection", path=path, seed=0)


def test_places_are_within_and_even() -> None:
    assert places(12, 4).tolist() == [0, 3, 6, 9]
    assert places(7, 1).tolist() == [0]
    for available in range(1, 30):
        for wanted in range(1, available + 1):
            chosen = places(available, wanted)
            assert len(chosen.unique()) == wanted
            assert int(chosen.max()) < available


def test_sines_that_are_all_zero_are_said() -> None:
    report = initlab.initialize(nn.Linear(1, 2), "sinusoidal", seed=0)
    assert report["weight"].note == "zero: so few entries lie on zeros of the sine"
    model = nn.Conv2d(4, 8, 3, groups=2)
    initlab.initialize(model, "sinusoidal", seed=0)
    assert torch.equal(model.weight[:4], model.weight[4:])
    assert float(model.weight[:4].detach().var()) == pytest.approx(2 / (18 + 4), rel=1e-5)


def test_seeds_of_sines_differ_by_data_alone() -> None:
    """The weights coincide; the split and the order of the rows do not."""
    job = make_job("data=wine", "init=sinusoidal", "seeds=2")
    first, second = job.members()
    assert torch.equal(
        linear(job.build_member(first), "output").weight, linear(job.build_member(second), "output").weight
    )
    assert not torch.equal(job.dataset_for(first.seed).train.inputs, job.dataset_for(second.seed).train.inputs)
    assert job.fitted == "init=sinusoidal draws no random weights"


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("rai", "draws weights whose mean is not 0"),
        ("looks_linear", "mirrors its weights"),
        ("dropout_adjusted", None),
        ("vi3nr", None),
    ],
)
def test_theory_is_silent_where_weights_are_no_independent_numbers_around_zero(scheme: str, reason: str | None) -> None:
    assert make_job(f"init={scheme}").fitted == (None if reason is None else f"init={scheme} {reason}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scheme", ["trunc_normal", "orthogonal", "looks_linear", "rai", "vi3nr", "sinusoidal"])
def test_numbers_of_half_precision_are_those_of_single_precision_rounded(scheme: str, dtype: torch.dtype) -> None:
    """Drawn in half precision a cut normal would pile up at its ends, and nothing could be made orthogonal."""
    usual, half = (nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)) for _ in range(2))
    for model in (usual, half.to(dtype)):
        initlab.initialize(model, scheme, seed=0)
    for name, value in usual.state_dict().items():
        assert torch.equal(value.to(dtype), half.state_dict()[name])
