"""What is measured, against autograd and against plain arithmetic on the tensors themselves."""

import copy
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import initlab
from initlab.activations.modules import Sine
from initlab.modules.batch import Batch
from initlab.propagation.layers import find_layout
from initlab.propagation.probe import measure_networks
from initlab.propagation.samples import distinct_units, weights_of_samples
from tests.helpers import linear
from tests.propagation.networks import Functional, chain, probe_all, rows, together


def probed(model: nn.Module, batch: Any, **settings: Any) -> pd.DataFrame:
    return initlab.probe_model(model, batch, seed=0, **settings)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.arange(32) % 3


def test_moments_are_those_of_the_tensors() -> None:
    model = chain(6, 50, 40, 3, activation=nn.ReLU).double()
    inputs = rows().double()
    table = probed(model, inputs).set_index("position")
    signal = inputs
    for place, (dense, activation) in enumerate([(model[0], model[1]), (model[2], model[3])], start=1):
        before = dense(signal).detach().numpy()
        signal = activation(dense(signal)).detach()
        row = table.loc[place]
        assert row["pre_mean"] == pytest.approx(before.mean(), abs=1e-12)
        assert row["pre_std"] == pytest.approx(before.std())
        assert row["pre_second_moment"] == pytest.approx((before**2).mean())
        assert row["post_mean"] == pytest.approx(float(signal.mean()))
        assert row["post_second_moment"] == pytest.approx(float(signal.square().mean()))
        assert np.isnan(row["saturated"])  # a ReLU that is off is not saturated
        dead = (signal == 0).all(0).double().mean()
        assert row["dead"] == pytest.approx(float(dead))
        products = before @ before.T
        different = products[~np.eye(len(products), dtype=bool)]
        assert row["correlation"] == pytest.approx(different.mean() / np.diag(products).mean())
        eigenvalues = np.linalg.eigvalsh(before @ before.T)
        assert row["effective_rank"] == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
        assert row["distinct_units"] == len(before[0])
    assert math.isnan(table["post_mean"][3])


@pytest.mark.parametrize("vectorized", [True, False])
def test_gradients_are_those_of_autograd(labels: torch.Tensor, vectorized: bool) -> None:
    """The gradient of each row's loss by the pre-activations, from their Jacobian."""
    models = [chain(6, 7, 5, 3).double() for _ in range(3)]
    batch = Batch(rows().double(), labels)
    layout = find_layout(models[0], batch)
    found = measure_networks(
        together(models),
        layout,
        batch,
        direction_seed=0,
        vectorized=vectorized,
        loss=lambda o, t: F.cross_entropy(o, t, reduction="sum"),
    )
    for member, model in enumerate(models):
        for place, cut in enumerate((1, 3, 5)):
            before = model[:cut](batch.inputs).detach()
            losses = torch.autograd.functional.jacobian(
                lambda h, rest=model[cut:]: F.cross_entropy(rest(h), labels, reduction="none"), before
            )
            own = torch.stack([losses[row, row] for row in range(len(labels))])
            assert float(found["gradient_second_moment"][member, place]) == pytest.approx(float(own.square().mean()))
            products = own @ own.T
            crossed = (products.sum() - products.trace()) / (32 * 31 * own.shape[1])
            expected = float(crossed / own.square().mean())
            assert float(found["gradient_correlation"][member, place]) == pytest.approx(expected)
        loss = F.cross_entropy(model(batch.inputs), labels)
        weight = linear(model, 2).weight
        (gradient,) = torch.autograd.grad(loss, weight)
        assert float(found["weight_gradient_norm"][member, 1]) == pytest.approx(float(gradient.norm()))
        assert float(found["weight_norm"][member, 1]) == pytest.approx(float(weight.detach().norm()))


@pytest.mark.parametrize("build", [lambda: chain(6, 9, 9, 3, norm=nn.BatchNorm1d), Functional, lambda: chain(6, 3)])
def test_members_together_measure_what_they_measure_alone(build: Callable[[], nn.Module]) -> None:
    models = [build() for _ in range(4)]
    batch = Batch(rows())
    layout = find_layout(models[0], batch)
    all_at_once = measure_networks(together(models), layout, batch, direction_seed=0, vectorized=True, loss=None)
    in_turn = measure_networks(together(models), layout, batch, direction_seed=0, vectorized=False, loss=None)
    for name, values in all_at_once.items():
        torch.testing.assert_close(values, in_turn[name], rtol=1e-4, atol=1e-6, equal_nan=True, msg=name)


class Counted(TorchDispatchMode):
    """Counts the calls of each operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        self.calls[func._schema.name.removeprefix("aten::")] += 1
        return func(*args, **(kwargs or {}))


def test_what_a_few_rows_tell_is_found_for_all_layers_at_once() -> None:
    """Twenty layers of one shape and one nonlinearity: one more of each operation for the logits."""
    model = chain(*[6] * 20, 3)
    initlab.initialize(model, "orthogonal", seed=0)
    networks, batch = together([model]), Batch(rows())
    layout = find_layout(networks.template, batch)
    counted = Counted()
    with counted:
        measure_networks(networks, layout, batch, direction_seed=0, vectorized=False, loss=None)
    assert counted.calls["sort"] == 2
    assert counted.calls["bmm"] < 5
    assert counted.calls["tanh"] == 2 * 19 + 1
    assert counted.calls["abs"] < 2 * len(layout.layers)  # an ordinary size is left as it is


@pytest.mark.parametrize("how", ["in place", "detached", "unused"])
def test_gradients_come_back_from_whatever_follows(how: str) -> None:
    """Next to the same by `torch.func`, which looks at several networks together."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.third = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            signal = self.first(inputs)
            signal = F.relu(signal, inplace=True) if how == "in place" else F.relu(signal)
            second = self.second(signal.detach() if how == "detached" else signal)
            outputs: torch.Tensor = self.third(signal if how == "unused" else second)
            return outputs

    networks, batch = together([Model(), Model()]), Batch(rows())
    layout = find_layout(networks.template, batch)
    alone, both = (
        measure_networks(networks, layout, batch, direction_seed=0, vectorized=vectorized, loss=None)
        for vectorized in (False, True)
    )
    for name, values in both.items():
        torch.testing.assert_close(alone[name], values, rtol=1e-5, atol=1e-6, equal_nan=True, msg=name)
    zero = {"in place": [], "detached": [0], "unused": [1]}[how]
    assert alone["gradient_second_moment"][0].eq(0).nonzero().flatten().tolist() == zero


def test_all_members_count_distinct_units_by_the_same_weights() -> None:
    """Of pairs of units that are nearly equal, it depends on the weights of the samples which count as one."""
    first = chain(6, 200, 3)
    with torch.no_grad():
        weight = first.get_parameter("0.weight")
        weight[1::2] = weight[::2] + 2e-6 * torch.randn(100, 6)
        first.get_parameter("0.bias").zero_()
    models = [first, copy.deepcopy(first), copy.deepcopy(first)]
    layout, batch = find_layout(first, Batch(rows())), Batch(rows())
    found = measure_networks(together(models), layout, batch, direction_seed=0, vectorized=True, loss=None)
    counts = found["distinct_units"][:, 0].tolist()
    assert len(set(counts)) == 1
    assert 100 < counts[0] < 200


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(inputs + torch.randn_like(inputs))
        return outputs


@pytest.mark.parametrize(("build", "draws"), [(lambda: chain(6, 50, 3, norm=nn.BatchNorm1d), False), (Noisy, True)])
def test_threads_that_share_the_members_change_no_bit(
    build: Callable[[], nn.Module], draws: bool, labels: torch.Tensor
) -> None:
    models, batch = [build() for _ in range(5)], Batch(rows(), labels)
    layout = find_layout(models[0], batch)
    assert layout.draws is draws
    one, two = (
        measure_networks(
            together(models),
            layout,
            batch,
            direction_seed=0,
            vectorized=False,
            loss=lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="sum"),
            workers=workers,
        )
        for workers in (1, 2)
    )
    assert all(torch.equal(one[name].nan_to_num(), two[name].nan_to_num()) for name in one)
    assert one["loss"].shape == (5,)


def test_convolutions_have_channels_for_units() -> None:
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(5 * 16, 3))
    with torch.no_grad():
        model.get_parameter("0.bias")[0] = -100.0  # a dead channel
    images = torch.randn(8, 2, 6, 6)
    table = probed(model, images).set_index("position")
    assert list(table["units"]) == [5, 3]
    assert table.loc[1, "dead"] == pytest.approx(1 / 5)
    before = model[0](images).detach()
    assert table.loc[1, "pre_second_moment"] == pytest.approx(float(before.square().mean()), rel=1e-5)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ReLU6, nn.Hardswish, nn.PReLU])
def test_a_rectifier_that_is_off_is_not_saturated(activation: type[nn.Module]) -> None:
    table = probed(chain(100, *[200] * 2, 3, activation=activation), rows(64, 100), scheme="zeros")
    assert table["saturated"].isna().all()
    assert list(table["dead"].iloc[:2]) == [1.0, 1.0]


@pytest.mark.parametrize("activation", [nn.ELU, nn.Hardtanh, nn.Softsign, nn.Hardsigmoid])
def test_what_flattens_at_a_level_saturates(activation: type[nn.Module]) -> None:
    model = chain(6, 400, 3, activation=activation)
    nn.init.normal_(model.get_parameter("0.weight"), std=30.0)
    assert probed(model, rows())["saturated"].iloc[0] > 0.4


# With the largest |φ'| of each, by hand.
STEEPEST: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "tanh": (nn.Tanh, 1.0),
    "sigmoid": (nn.Sigmoid, 0.25),
    "softsign": (nn.Softsign, 1.0),
    "elu": (nn.ELU, 1.0),
    "steep elu": (lambda: nn.ELU(alpha=3.0), 3.0),
    "selu": (nn.SELU, 1.0507009873554805 * 1.6732632423543772),
    "hardtanh": (nn.Hardtanh, 1.0),
    "far hardtanh": (lambda: nn.Hardtanh(20.0, 21.0), 1.0),
    "slow sine": (lambda: Sine(1.0), 1.0),
    "fast sine": (lambda: Sine(30.0), 30.0),
    "celu": (nn.CELU, 1.0),
    "hardsigmoid": (nn.Hardsigmoid, 1 / 6),
}


@pytest.mark.parametrize("name", STEEPEST)
def test_saturation_is_where_the_slope_is_small_beside_the_steepest(name: str) -> None:
    build, steepest = STEEPEST[name]
    model = chain(6, 400, 3, activation=build).double()
    nn.init.normal_(linear(model, 0).weight, std=1.0)
    before = model[0](rows().double()).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(model[1](before).sum(), before)
    expected = float((slopes.abs() < 0.05 * steepest).double().mean())
    assert probed(model, rows().double())["saturated"].iloc[0] == pytest.approx(expected, abs=1e-6)
    assert 0 < expected < 0.7 or name == "far hardtanh"


@pytest.mark.parametrize("vectorized", [True, False])
def test_slopes_that_differ_do_not_saturate(vectorized: bool) -> None:
    """Learned slopes of a PReLU, one a unit, and of members that go through together."""
    models = [chain(6, 5, 5, 3, activation=lambda: nn.PReLU(5)) for _ in range(2)]
    for model in models:
        nn.init.uniform_(model.get_parameter("1.weight"), -0.01, 0.5)
    batch = Batch(rows())
    layout = find_layout(models[0], batch)
    found = measure_networks(together(models), layout, batch, direction_seed=0, vectorized=vectorized, loss=None)
    assert found["saturated"].isnan().all()
    assert found["gradient_second_moment"].gt(0).all()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_where_numbers_are_not_finite_no_share_is_known(activation: type[nn.Module]) -> None:
    """A network that has diverged has no dead units and no saturated ones: nothing is known of them."""
    model = chain(6, 50, 3, activation=activation)
    with torch.no_grad():
        linear(model, 0).weight[0, 0] = math.nan
    table = probed(model, rows()).set_index("position")
    assert table.loc[1, ["dead", "saturated"]].isna().all()


def test_equal_units_are_counted_once() -> None:
    """Law 7: a constant keeps all units of a layer alike."""
    table = probed(chain(6, 32, 32, 3), rows(), scheme="constant", value=0.01)
    assert list(table["distinct_units"]) == [1, 1, 1]
    assert list(probed(chain(6, 32, 32, 3), rows(), scheme="he")["distinct_units"]) == [32, 32, 3]


def test_layers_of_rank_one() -> None:
    """Law 6: what zeros make of any two inputs is the same, so that sigmoids stay at rank 1."""
    table = probed(chain(6, 32, 32, 3, activation=nn.Sigmoid), rows(), scheme="zeros")
    assert math.isnan(table["effective_rank"].iloc[0])  # nothing but zeros
    biased = probed(chain(6, 32, 32, 3, activation=nn.Sigmoid), rows(), scheme="zeros", bias=0.5)
    assert list(biased["effective_rank"]) == pytest.approx([1, 1, 1])
    assert list(biased["correlation"]) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("std", [300.0, 3e-4])
def test_sizes_beyond_single_precision_squares(std: float) -> None:
    """A linear net of depth 12: sizes reach beyond 1e38 or below 1e-38 in square, far from it in float32 itself."""
    model = nn.Sequential(*[nn.Linear(16, 16, bias=False) for _ in range(12)])
    generator = torch.Generator().manual_seed(0)
    for layer in model:
        nn.init.normal_(layer.get_parameter("weight"), std=std, generator=generator)
    inputs = rows(32, 16)
    single = probed(model, inputs)
    double = probed(copy.deepcopy(model).double(), inputs.double())
    for name in ("pre_second_moment", "correlation", "gradient_second_moment", "weight_gradient_norm"):
        np.testing.assert_allclose(single[name], double[name], rtol=1e-3, atol=1e-5 if name == "correlation" else 0)
    assert double["pre_second_moment"].max() > 1e38 or double["pre_second_moment"].min() < 1e-38


def test_a_probe_leaves_everything_as_it_was(labels: torch.Tensor) -> None:
    model = chain(6, 9, 9, 3, norm=nn.BatchNorm1d)
    model.insert(2, nn.Dropout(0.5))
    model[0].eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    weight = linear(model, 0).weight
    weight.grad = torch.ones_like(weight)
    random = torch.random.get_rng_state()
    table = probed(model, (rows(), labels), loss=F.cross_entropy)
    assert torch.equal(torch.random.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert bool((weight.grad == 1).all())
    assert weight.requires_grad
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    pd.testing.assert_frame_equal(probed(model, (rows(), labels), loss=F.cross_entropy), table)


def test_half_precision_overflows_nowhere() -> None:
    model = chain(300, 600, 3).to(torch.bfloat16)
    single = copy.deepcopy(model).float()
    inputs = rows(200, 300)
    found, expected = probed(model.half(), inputs.half()), probed(single.half().float(), inputs.half().float())
    for name in ("pre_second_moment", "effective_rank", "weight_norm", "weight_gradient_norm", "correlation"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0.02, atol=2e-3)


def test_inputs_changed_in_place_are_the_networks_own() -> None:
    class Shifting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            inputs += 1
            outputs: torch.Tensor = self.layer(inputs)
            return outputs

    inputs = rows()
    probed(Shifting(), inputs)
    assert torch.equal(inputs, rows())


def test_the_seed_of_other_devices_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probing a network on the CPU says nothing to a GPU."""
    seeded = list[object]()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    probed(chain(6, 3), rows())
    assert seeded == []


def test_neither_default_of_torchs_matters() -> None:
    """Random directions and projections are drawn on the CPU and in one precision."""
    model, inputs = chain(6, 50, 70), rows()
    plain = probe_all(model, inputs)
    torch.set_default_dtype(torch.float64)
    try:
        other = probe_all(model, inputs)
    finally:
        torch.set_default_dtype(torch.float32)
    pd.testing.assert_frame_equal(plain.signal, other.signal)
    pd.testing.assert_frame_equal(plain.spectrum, other.spectrum)
    samples = torch.randn(20, 7)
    with torch.device("meta"):
        assert int(distinct_units(samples, weights_of_samples(20))) == 7


def test_single_and_double_precision_in_one_network() -> None:
    """What no layer has is not a number of the first layer's precision."""
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), Widened(nn.Linear(5, 3).double()))
    with torch.no_grad():
        model.get_parameter("2.layer.weight").mul_(1e60)
    found = probed(model, rows())
    assert 1e50 < found["pre_std"].iloc[1] < 1e70
    assert 1e50 < found["weight_norm"].iloc[1] < 1e70


class Widened(nn.Module):
    """A layer that computes in double precision."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(inputs.double())
        return outputs
