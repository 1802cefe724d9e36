"""Rules by name and type, parts of a network, and what a refusal leaves behind."""

import gc
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import prune

import initlab
from initlab.activations import Activation
from initlab.base.errors import InitializationWarning, UserError
from initlab.initializers import layers
from initlab.initializers.schemes import mean_field
from initlab.initializers.stored import Stored
from initlab.modules.wrappers import whole_tensor
from initlab.theory.mean_field import CriticalPoint, critical_point


class Block(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.q_proj, self.o_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = inputs + self.o_proj(torch.relu(self.q_proj(self.norm(inputs))))
        return result


class Language(nn.Module):
    """Tokens in, logits out by the same table, with a table of positions of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 64, padding_idx=0)
        self.positions = nn.Parameter(torch.full((1, 12, 64), 7.0))
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(64, 100, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        signal = self.embedding(tokens) + self.positions[:, : tokens.shape[1]]
        for block in self.blocks:
            signal = block(signal)
        logits: Tensor = self.head(signal)
        return logits


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_unchanged(model: nn.Module, before: dict[str, Tensor]) -> None:
    after = model.state_dict()
    assert after.keys() == before.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value), name


def test_the_first_rule_that_hits_counts() -> None:
    model = Language()
    report = initlab.initialize(
        model,
        {
            "*.o_proj": ("normal", {"std": 0.02 / 24**0.5}),
            nn.Embedding: ("normal", {"std": 0.02}),
            "positions": ("uniform", {"bound": 0.1}),
            "blocks.1.norm.weight": ("constant", {"value": 0.5}),
            "blocks.2.*": None,
            "*": "he",
        },
        seed=0,
    )
    for number in (0, 1):
        assert report[f"blocks.{number}.o_proj.weight"].std == pytest.approx(0.02 / 24**0.5, rel=0.05)
        assert report[f"blocks.{number}.o_proj.weight"].hit == "*.o_proj"
        assert report[f"blocks.{number}.o_proj.bias"].rule == "bias: 0"
        assert report[f"blocks.{number}.q_proj.weight"].std == pytest.approx(math.sqrt(2 / 64), rel=0.05)
        assert report[f"blocks.{number}.q_proj.weight"].hit == ""
    assert report["embedding.weight"].std == pytest.approx(0.02, rel=0.05)
    assert not model.embedding.weight[0].any()  # the padding
    assert report["positions"].std == pytest.approx(0.1 / math.sqrt(3), rel=0.1)
    assert model.get_parameter("blocks.1.norm.weight").tolist() == [0.5] * 64
    assert report["head.weight"].rule == "he_normal"
    assert dict(report.left) == {"blocks.2.q_proj.weight": "rule blocks.2.* leaves it"}  # o_proj was hit before
    assert "hit by" in str(report).splitlines()[0]


def test_what_no_rule_hits_is_left_alone() -> None:
    model = Language()
    before = state_of(model)
    report = initlab.initialize(model, {"head": nn.init.xavier_uniform_}, seed=0)
    bound = math.sqrt(6 / 164)
    assert report["head.weight"].rule == "xavier_uniform_"
    assert bound * 0.99 < float(model.head.weight.detach().abs().max()) <= bound
    assert_unchanged(model, {**before, "head.weight": model.head.weight})
    again = Language()
    torch.manual_seed(123)
    initlab.initialize(again, {"head": nn.init.xavier_uniform_}, seed=0)
    assert torch.equal(again.head.weight, model.head.weight)


def test_a_rule_for_one_name_of_a_shared_weight_hits_it() -> None:
    for rule in ("embedding", nn.Embedding, "head", "head.weight"):
        model = Language()
        model.head.weight = model.embedding.weight
        report = initlab.initialize(model, {rule: ("normal", {"std": 0.02}), "*": "he"}, seed=0)
        assert report["embedding.weight"] is report["head.weight"]
        assert report["head.weight"].std == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"*.out_proj": "he", "*": "he"}, r"rule \*\.out_proj: hits nothing; did you mean .*o_proj"),
        ({"*": "he", "head": "zeros"}, r"rule \*: hits everything, so that it must be the last; head"),
        ({"*.q_proj": "he", "blocks.0.q_proj": "zeros"}, "rule blocks.0.q_proj: hits nothing; .* a rule before it"),
        ({nn.Conv2d: "he", "*": "zeros"}, "rule Conv2d: hits nothing; the network has Language, Embedding"),
        ({"positions": "he", "*": "he"}, "rule positions: positions is no weight with fans, as init=he_normal needs"),
        ({"head": "lsuv", "*": "he"}, "rule head: init=lsuv works on whole networks"),
        ({"head": "hee", "*": "he"}, "rule head=hee: unknown initializer; did you mean he"),
        ({"head": ("normal", {"sd": 1.0}), "*": "he"}, "rule head.sd: init=normal has no such parameter"),
        ({"head": (nn.init.normal_, {"sd": 1.0}), "*": "he"}, "rule head.sd: normal_ has no such parameter"),
        ({"head": 3, "*": "he"}, "rule head: expected a scheme's name, a function that fills a tensor, or None"),
        ({3: "he"}, "rule 3: expected a pattern of names"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rules: Any, message: str) -> None:
    model = Language()
    before = state_of(model)
    with pytest.raises(UserError, match=message):
        initlab.initialize(model, rules, seed=0)
    assert_unchanged(model, before)


def test_parts_may_be_chosen() -> None:
    model = Language()
    before = state_of(model)
    report = initlab.initialize(model, "he", only=["blocks.0", "*.q_proj"], exclude="*.bias", seed=0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {*(f"blocks.{n}.q_proj.weight" for n in range(3)), "blocks.0.o_proj.weight"}
    assert report.left["head.weight"] == "not selected"
    with pytest.raises(UserError, match="only=block: matches no parameter"):
        initlab.initialize(model, "he", only="block", seed=0)


def test_what_is_frozen_is_left_alone_and_named() -> None:
    model = Language()
    model.blocks.requires_grad_(False)
    before = state_of(model)
    report = initlab.initialize(model, "he", seed=0)
    assert_unchanged(model.blocks, {name[7:]: value for name, value in before.items() if name.startswith("blocks.")})
    assert report.left["blocks.0.q_proj.weight"] == "frozen"
    assert report["head.weight"].rule == "he_normal"
    again = initlab.initialize(model, "he", skip_frozen=False, seed=0)
    assert again["blocks.0.q_proj.weight"].rule == "he_normal"


def test_embeddings_have_a_rule_of_their_own() -> None:
    def std(scheme: str, **parameters: Any) -> float:
        return initlab.initialize(nn.Sequential(nn.Embedding(500, 64)), scheme, seed=0, **parameters)["0.weight"].std

    assert std("he") == pytest.approx(0.02, rel=0.02)
    assert std("orthogonal") == pytest.approx(0.02, rel=0.02)
    assert std("zeros") == 0
    assert std("normal", std=0.3) == pytest.approx(0.3, rel=0.02)
    assert std("he", embedding={"name": "normal", "std": 1.0}) == pytest.approx(1, rel=0.02)
    assert std("zeros", embedding="he") == pytest.approx(math.sqrt(2), rel=0.02)


def test_parts_that_are_filled_one_by_one_differ_within_their_network() -> None:
    whole = Language()
    initlab.initialize(whole, "he", seed=0)
    model = Language()
    for block in model.blocks:
        initlab.initialize(block, "he", within=model, seed=0)
    for one, other in zip(whole.blocks, model.blocks, strict=True):
        assert torch.equal(one.get_parameter("q_proj.weight"), other.get_parameter("q_proj.weight"))
    named = Block()
    initlab.initialize(named, "he", within="blocks.2", seed=0)
    assert torch.equal(named.q_proj.weight, whole.blocks[2].get_parameter("q_proj.weight"))
    with pytest.raises(UserError, match="within: the model is no part of this Language"):
        initlab.initialize(Block(), "he", within=model, seed=0)


def test_equal_parts_are_noticed_and_networks_to_compare_are_not() -> None:
    model, other = Language(), Language()
    initlab.initialize(model.blocks[0], "he", seed=0)
    with pytest.warns(InitializationWarning, match="q_proj.weight and o_proj.weight: other tensors .* within=network"):
        initlab.initialize(model.blocks[1], "he", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initlab.initialize(model.blocks[2], "he", seed=1)
        initlab.initialize(model.blocks[0], "zeros", seed=0)
        initlab.initialize(other, "he", seed=0)
        initlab.initialize(model, "he", seed=0)


def test_equal_parts_are_noticed_among_what_the_collector_never_sees_again() -> None:
    model = Language()
    gc.freeze()  # as `base.importing` leaves what was there when initlab's modules had come
    initlab.initialize(model.blocks[0], "he", seed=0)
    with pytest.warns(InitializationWarning, match="q_proj.weight and o_proj.weight: other tensors"):
        initlab.initialize(model.blocks[1], "he", seed=0)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel], ids=["compile", "DataParallel"])
def test_wrappers_change_no_number(wrap: Callable[[nn.Module], nn.Module]) -> None:
    plain, other = Language(), Language()
    initlab.initialize(plain, "he", seed=0)
    other.blocks.register_module("1", torch.compile(other.blocks[1]))  # type: ignore[arg-type]  # it is a module
    report = initlab.initialize(wrap(other), "he", seed=0)
    for name, value in plain.named_parameters():
        assert torch.equal(value, other.get_parameter(report[name].name))


def test_a_dry_run_changes_nothing_and_says_the_same() -> None:
    model = Language()
    before = state_of(model)
    planned = initlab.initialize(model, "he", dry_run=True, seed=0)
    assert_unchanged(model, before)
    assert planned == initlab.initialize(model, "he", seed=0)
    assert list(planned.to_frame()["name"]) == [name for name, _ in model.named_parameters()]


def test_statistics_may_be_left_out() -> None:
    report = initlab.initialize(Language(), "he", report=False, seed=0)
    assert all(math.isnan(row.mean) and math.isnan(row.std) for row in report)
    assert report["head.weight"].fan_in == 64


@pytest.mark.parametrize(
    ("scheme", "layers_after"),
    [
        ("mean_field", [nn.Softsign(), nn.ReLU()]),
        ("delta_orthogonal", [nn.Conv2d(64, 3, 3)]),
        ("siren", [nn.Tanh(), nn.ReLU()]),
        ("lsuv", []),
        ("he", [nn.LazyLinear(3)]),
    ],
)
def test_a_refusal_changes_nothing(scheme: str, layers_after: list[nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), *layers_after)
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.constant_(norm.weight, 3.0)
    norm(torch.randn(4, 64, 5, 5))
    before = {name: value.clone() for name, value in model.state_dict().items() if "2." not in name}
    random = torch.get_rng_state()
    with pytest.raises(UserError):
        initlab.initialize(model, scheme, seed=0)
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value), name
    assert torch.equal(torch.get_rng_state(), random)


def test_an_interrupt_midway_changes_nothing() -> None:
    model = Language()
    before = state_of(model)
    calls = []

    def interrupted(weight: Tensor) -> None:
        nn.init.ones_(weight)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        initlab.initialize(model, interrupted, seed=0)
    assert_unchanged(model, before)


class Raw(nn.Module):
    """x @ weight + shift, by parameters of its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.shift = nn.Parameter(torch.zeros(inputs, outputs)), nn.Parameter(torch.ones(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight + self.shift


def test_layers_that_nobody_knows_are_named_and_may_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(Raw(300, 100), nn.ReLU(), nn.Linear(100, 3))
    with pytest.warns(InitializationWarning, match=r"leaves 99% of the weights as they were: 0\.weight \(initlab does"):
        report = initlab.initialize(model, "he", seed=0)
    assert list(report.left) == list(report.unasked) == ["0.weight"]
    monkeypatch.setattr(layers, "_DESCRIBED", {})
    initlab.register_layer(Raw, lambda _: {"weight": ("in out", "shift")})
    report = initlab.initialize(model, "he", seed=0)
    assert report["0.weight"].fan_in == 300
    assert report["0.weight"].std == pytest.approx(math.sqrt(2 / 300), rel=0.03)
    assert not report.left
    assert not model.get_parameter("0.shift").any()
    with pytest.raises(UserError, match="register_layer: expected a class of modules"):
        initlab.register_layer(model, lambda _: {})  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize(
    ("stored", "shape", "apply"),
    [
        (Stored("in out"), (5, 4), lambda weight, x: [x @ weight]),
        (Stored("in out out"), (5, 2, 2), lambda weight, x: [torch.einsum("i,ind->nd", x, weight).flatten()]),
        (Stored("out in in"), (4, 5, 1), lambda weight, x: [torch.einsum("nd,hnd->h", x.view(5, 1), weight)]),
        (Stored("bank out in"), (3, 4, 5), lambda weight, x: [part @ x for part in weight]),
        (Stored("bank in out"), (3, 5, 4), lambda weight, x: [x @ part for part in weight]),
        (
            Stored("bank group out in", shape=(3, 2, 4, 5)),
            (3, 8, 5),
            lambda weight, x: [half for part in weight for half in (part @ x).chunk(2)],
        ),
        (
            Stored("bank in out group", shape=(3, 5, 4, 2)),
            (3, 5, 8),
            lambda weight, x: [(x @ part)[start::2] for part in weight for start in (0, 1)],
        ),
        (
            Stored("bank in group out", shape=(3, 5, 2, 4)),
            (3, 5, 8),
            lambda weight, x: [half for part in weight for half in (x @ part).chunk(2)],
        ),
    ],
    ids=lambda value: value.layout if isinstance(value, Stored) else "",
)
def test_maps_are_what_the_layer_computes(
    stored: Stored, shape: tuple[int, ...], apply: Callable[[Tensor, Tensor], list[Tensor]]
) -> None:
    weight, x = torch.randn(shape, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    expected = apply(weight, x)
    views = list(stored.each(weight))
    assert len(views) == len(expected) == len(stored.maps(weight))
    for view, same, product in zip(views, stored.maps(weight), expected, strict=True):
        torch.testing.assert_close(view @ x, product)
        torch.testing.assert_close(same @ x, product)
        view.zero_()
    assert not weight.any()  # they were views
    assert (stored.fan(weight).fan_in, stored.fan(weight).fan_out) == (5, 4)


@pytest.mark.parametrize("kind", ["weight_norm", "orthogonal", "spectral_norm", "pruned"])
def test_weights_that_are_computed_are_written_through_or_left(kind: str) -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    if kind == "pruned":
        prune.random_unstructured(model[2], "weight", amount=0.5)
        with pytest.warns(InitializationWarning, match=r"2\.weight_orig \(Linear computes its weight from it\)"):
            report = initlab.initialize(model, "he", seed=0)
        assert list(report.left) == ["2.weight_orig"]
        return
    getattr(torch.nn.utils.parametrizations, kind)(model[2], "weight")
    report = initlab.initialize(model, "he", seed=0)
    plain = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    initlab.initialize(plain, "he", seed=0)
    notes = {row.note for row in report if "parametrizations" in row.name}
    weight = model.eval().get_submodule("2").weight
    assert isinstance(weight, Tensor)
    weight = weight.detach()
    if kind == "weight_norm":
        torch.testing.assert_close(weight, plain.get_parameter("2.weight").detach())
        assert notes == {"through WeightNorm"}
    else:
        assert all(
            note.startswith("through ") and f"which makes its std {float(weight.std()):.3g}" in note for note in notes
        )


@pytest.mark.parametrize("scheme", ["zeros", "identity", "delta_orthogonal"])
@pytest.mark.parametrize("dim", [0, 2, -1])
def test_zeros_under_weight_norm_are_zeros(scheme: str, dim: int) -> None:
    """A zero has no direction, and 0/0 is no weight; wav2vec2 norms each place of a kernel by itself (dim 2)."""
    model, plain = (nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 8, 1)) for _ in range(2))
    torch.nn.utils.parametrizations.weight_norm(model[0], dim=dim)
    report = initlab.initialize(model, scheme, seed=0)
    initlab.initialize(plain, scheme, seed=0)
    weight = model[0].weight
    assert isinstance(weight, Tensor)
    torch.testing.assert_close(weight.detach(), plain.get_parameter("0.weight").detach())
    assert report["0.parametrizations.weight.original1"].note == "through WeightNorm"


def test_what_a_parametrization_makes_not_finite_is_left() -> None:
    model = nn.Sequential(torch.nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 8))
    before = state_of(model)
    reason = "its parametrization SpectralNorm makes numbers of it that are not finite"
    with pytest.warns(InitializationWarning, match=reason):
        report = initlab.initialize(model, "zeros", seed=0)
    assert report.left == {"0.parametrizations.weight.original": reason}
    for name, value in before.items():
        if name.startswith("0.parametrizations"):
            assert torch.equal(model.state_dict()[name], value), name
    with pytest.raises(UserError, match=r"makes weights that are not finite: 0\.weight"):
        initlab.initialize(model, "he", gain=1e300, seed=0)


@pytest.mark.parametrize(
    ("layer", "weight"),
    [
        (nn.Linear(8, 8), "weight"),
        (nn.Conv2d(8, 8, 3), "weight"),
        (nn.ConvTranspose1d(8, 8, 3), "weight"),
        (nn.MultiheadAttention(8, 2), "in_proj_weight"),
        (nn.GRUCell(8, 8), "weight_hh"),
    ],
)
def test_looking_at_a_spectral_norm_moves_nothing(layer: nn.Module, weight: str) -> None:
    torch.nn.utils.parametrizations.spectral_norm(layer, weight)
    model = nn.Sequential(layer, nn.Tanh(), nn.ReLU())
    before = state_of(model)
    with pytest.raises(UserError):
        initlab.initialize(model, "mean_field", seed=0)
    assert_unchanged(model, before)
    initlab.initialize(model, "he", seed=0, dry_run=True)
    assert_unchanged(model, before)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda layer: layer.to(torch.complex64), "its numbers are complex"),
        (lambda layer: layer.to(torch.float8_e4m3fn), "its numbers are float8_e4m3fn"),
    ],
    ids=["complex", "float8"],
)
def test_numbers_of_other_kinds_are_left_alone(change: Callable[[nn.Module], nn.Module], reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, of complex modules
        model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), change(nn.Linear(8, 8)))
    weight = model.get_parameter("2.weight").detach()
    before = weight.clone()
    with pytest.warns(InitializationWarning):
        report = initlab.initialize(model, "he", seed=0)
    assert report.left["2.weight"] == reason
    assert torch.equal(weight.view(torch.uint8), before.view(torch.uint8))


def test_empty_weights_do_no_harm() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's own constructor, of a layer of no numbers
        model = nn.Sequential(nn.Linear(8, 0), nn.Linear(0, 5))
    for scheme in ("he", "xavier", "orthogonal"):
        with pytest.raises(UserError, match="has no Linear, convolution or other weight"):
            initlab.initialize(model, scheme, seed=0)


def test_what_cannot_be_changed_is_said_in_a_line() -> None:
    with torch.inference_mode():
        frozen = nn.Linear(3, 3)
    with pytest.raises(UserError, match="made in inference mode"):
        initlab.initialize(frozen, "he", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(UserError, match="is scripted, which hides its layers"):
        initlab.initialize(scripted, "he", seed=0)


@pytest.mark.parametrize("one_plus", [False, True])
def test_norms_of_other_libraries_start_from_what_changes_nothing(one_plus: bool) -> None:
    class SomeRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((16,), 5.0))

        def forward(self, inputs: Tensor) -> Tensor:
            scale = 1 + self.weight if one_plus else self.weight
            return scale * inputs * torch.rsqrt(inputs.square().mean(-1, keepdim=True) + 1e-6)

    model = nn.Sequential(nn.Linear(8, 16), SomeRMSNorm())
    report = initlab.initialize(model, "he", seed=0)
    assert report["1.weight"].rule == ("norm: zero" if one_plus else "norm: one")
    rows = model(torch.randn(64, 8)).detach()
    assert float(rows.square().mean()) == pytest.approx(1, rel=1e-3)


def test_a_parametrization_that_replaces_its_buffers_is_put_back() -> None:
    model = torch.nn.utils.parametrizations.orthogonal(nn.Linear(8, 8))
    before, buffers = state_of(model), dict(model.named_buffers())
    report = initlab.initialize(model, "he", dry_run=True, seed=0)
    assert report["parametrizations.weight.original"].rule == "he_normal, then Orthogonal"
    assert_unchanged(model, before)
    assert {name: id(buffer) for name, buffer in model.named_buffers()} == {
        name: id(buffer) for name, buffer in buffers.items()
    }


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(6, 6, 3, groups=6), nn.Linear(32, 1), nn.Linear(1, 32), nn.Linear(20, 20)], ids=str
)
def test_sparse_leaves_no_unit_and_no_input_without_a_weight(layer: nn.Module) -> None:
    for seed in range(20):
        model = nn.Sequential(layer)
        report = initlab.initialize(model, "sparse", sparsity=0.9, seed=seed)
        weight = model.get_parameter("0.weight").detach().flatten(1)
        groups = 6 if isinstance(layer, nn.Conv2d) else 1
        for block in weight.view(groups, -1, weight.shape[1]):
            assert (block != 0).any(1).all()
            assert (block != 0).any(0).all() or isinstance(layer, nn.Conv2d) or block.shape[0] > 1
        if weight.shape != (20, 20):
            assert "zeros, so that no unit" in report["0.weight"].note
    assert not initlab.initialize(layer, "sparse", sparsity=1.0, seed=0)["weight"].std


def test_every_scheme_fills_a_map_of_one_output_that_is_stored_by_its_inputs() -> None:
    class Scored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score, self.output = nn.Parameter(torch.zeros(8, 1)), nn.Linear(8, 2)

        def initlab_weights(self) -> dict[str, str]:
            return {"score": "in out"}

    for name, scheme in initlab.list_initializers().items():
        special = name in ("delta_orthogonal", "rai", "random_walk") or "recurrent" in scheme.needs
        if scheme.level == "weight" and not special:
            report = initlab.initialize(Scored(), name, activation="tanh", seed=0)
            assert report["score"].fan_in == 8
            assert report["score"].rule == name


class Standardized(nn.Conv2d):
    """A convolution that divides its weight by its standard deviation, as in timm and Big Transfer."""

    def forward(self, inputs: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return nn.functional.conv2d(inputs, weight, self.bias)


@pytest.mark.parametrize("scheme", ["lsuv", "data_dependent"])
def test_what_schemes_say_of_outputs_is_what_they_are_in_the_end(scheme: str) -> None:
    rows = torch.randn(64, 3, 8, 8)
    model = nn.Sequential(Standardized(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    with pytest.warns(InitializationWarning, match="is not 1 in 0 |have not the variance 1 in 0 "):
        report = initlab.initialize(model, scheme, batch=rows, seed=0)
    assert float(model.get_parameter("0.weight").detach().abs().max()) < 100
    std = float(model[0](rows).detach().std(correction=0))
    note = report["0.weight"].note
    assert (
        f"output std {std:.4f} dividing its weight changes nothing" in note
        if scheme == "lsuv"
        else "of variance" in note
    )

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(30, 16), nn.Linear(16, 30, bias=False)
            self.between = nn.Linear(16, 16)
            self.head.weight = self.embedding.weight

        def forward(self, tokens: Tensor) -> Tensor:
            logits: Tensor = self.head(torch.tanh(self.between(self.embedding(tokens))))
            return logits

    tokens, tied = torch.randint(30, (64, 5)), Tied()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InitializationWarning)
        report = initlab.initialize(tied, scheme, batch=tokens, seed=0)
    outputs: dict[str, Tensor] = {}
    for name in ("between", "head"):
        tied.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: outputs.update({name: output.detach()})
        )
    tied(tokens)
    for name, output in outputs.items():
        note = report[f"{name}.weight"].note
        if scheme == "lsuv":
            assert note.startswith(f"output std {float(output.std(correction=0)):.4f} ")
        else:
            variances = output.flatten(0, 1).var(0, correction=0)
            alike = bool(((variances - 1).abs() < 0.02).all())
            assert note.startswith("each channel of variance 1") == alike


def test_weights_that_are_computed_do_not_share_the_memory_that_is_drawn_in() -> None:
    model = nn.Sequential(
        nn.Linear(64, 64), torch.nn.utils.parametrizations.weight_norm(nn.Linear(64, 64)), nn.Linear(64, 64)
    )
    initlab.initialize(model, "orthogonal", seed=0)
    weight = model.get_submodule("1").weight
    assert isinstance(weight, Tensor)
    torch.testing.assert_close(weight @ weight.T, torch.eye(64), rtol=0, atol=1e-5)


def test_networks_that_are_distributed_get_the_same_numbers(tmp_path: Path) -> None:
    plain, replicated, sharded = Language(), Language(), Language()
    initlab.initialize(plain, "he", seed=0)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        initlab.initialize(nn.parallel.DistributedDataParallel(replicated), "he", seed=0)
        mesh = init_device_mesh("cpu", (1,))
        fully_shard(sharded.blocks[0], mesh=mesh)
        fully_shard(sharded, mesh=mesh)
        report = initlab.initialize(sharded, "he", seed=0)
        for name, value in plain.named_parameters():
            assert torch.equal(value, replicated.get_parameter(name))
            assert torch.equal(value, whole_tensor(sharded.get_parameter(name)))
        assert report["head.weight"].std == pytest.approx(math.sqrt(2 / 64), rel=0.05)
        for call in (
            lambda: initlab.initialize(sharded, "lsuv", batch=torch.zeros(4, 3).long(), seed=0),
            lambda: initlab.probe_model(sharded, torch.zeros(4, 3).long(), seed=0),
        ):
            with pytest.raises(UserError, match="before"):
                call()
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("why", ["frozen", "excluded", "init=keep leaves it"])
def test_computed_weights_that_are_to_be_left_are_left_and_the_reason_is_said(why: str) -> None:
    model = nn.Sequential(nn.Linear(8, 8), torch.nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)))
    if why == "frozen":
        model[1].requires_grad_(False)
    before = state_of(model[1])
    scheme, exclude = ("keep" if "keep" in why else "he"), ("1" if why == "excluded" else ())
    report = initlab.initialize(model, scheme, exclude=exclude, seed=0)  # without a warning
    assert_unchanged(model[1], before)
    assert report.left["1.parametrizations.weight.original1"] == why
    assert not report.unasked


def test_a_checkpoint_is_loaded_into_what_is_selected_alone(tmp_path: Path) -> None:
    """Norms and parameters of one's own among the rest, too."""
    source, model = Language(), Language()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.fill_(3.0)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    before = state_of(model)
    initlab.initialize(model, "pretrained", path=str(tmp_path / "weights.pt"), only="blocks.0", seed=0)
    for name, value in model.named_parameters():
        assert bool((value == 3).all()) == name.startswith("blocks.0.") or torch.equal(value, before[name]), name
    assert torch.equal(model.positions, before["positions"])
    assert torch.equal(model.get_parameter("blocks.1.norm.weight"), before["blocks.1.norm.weight"])
    assert model.get_parameter("blocks.0.norm.weight").tolist() == [3.0] * 64


def test_the_edge_of_chaos_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """GELU has none at the first of the usual variances, which every block of a network would find out again."""
    asked: list[float] = []

    def counted(activation: Activation, variance: float) -> CriticalPoint:
        asked.append(variance)
        return critical_point(activation, variance)

    monkeypatch.setattr(mean_field, "critical_point", counted)
    mean_field._usual_point.cache_clear()
    initlab.initialize(nn.Sequential(nn.Conv2d(30, 30, 3, groups=30), nn.GELU()), "mean_field", seed=0)
    assert asked == sorted(set(asked))
    assert len(asked) > 1
