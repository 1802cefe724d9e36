"""Query, key and value in one linear layer: three maps for every scheme (law 23), where they are of one width."""

import math

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.base.randomness import stream
from initlab.initializers.fans import Fan
from initlab.initializers.slots import find_slots

D = 64


class Attention(nn.Module):
    """An attention with one layer into query, key and value, under some name, and one that projects what is mixed."""

    def __init__(self, name: str, out: int, *, inner: int = D) -> None:
        super().__init__()
        setattr(self, name, nn.Linear(D, out))
        self.proj = nn.Sequential(nn.Linear(inner, D), nn.Dropout(0.1))


class Block(nn.Module):
    """An attention and an MLP as residual branches."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention("qkv", 3 * D)
        self.first, self.second = nn.Linear(D, D), nn.Linear(D, D)
        self.output = nn.Linear(D, 3)

    def residual_branches(self) -> list[list[nn.Module]]:
        projection = self.attention.get_submodule("proj.0")
        return [[self.attention.get_submodule("qkv"), projection], [self.first, self.second]]


def thirds(model: nn.Module, name: str = "qkv") -> list[Tensor]:
    return list(model.get_parameter(f"{name}.weight").detach().chunk(3))


@pytest.mark.parametrize(
    ("name", "out", "inner", "fan_out"),
    [
        *((name, 3 * D, D, D) for name in ("qkv", "to_qkv", "Wqkv", "qkv_proj", "c_attn", "in_proj")),
        ("kv", 2 * D, D, D),
        ("to_kv", 2 * D, D, D),
        ("to_qkv", 3 * 40, 40, 40),  # heads whose numbers do not add up to the width
        ("to_kv", 2 * 40, 40, 40),
        ("qkv", 3 * D + 1, D, 3 * D + 1),  # no multiple of 3
        ("Wqkv", D + 2 * 16, D, D + 2 * 16),  # fewer keys than queries: a multiple of 3, but not three of one width
        ("c_attn", 2 * D + 1, D, 2 * D + 1),
        ("in_proj", 3 * D, 3 * D, 3 * D),  # the first layer of an MLP
        ("in_proj", 4 * D, 2 * D, 4 * D),  # of a state space model
        ("query_key_value", 3 * D, D, 3 * D),  # turn by turn in each head, as GPT-NeoX has it
        ("other", 3 * D, D, 3 * D),
    ],
)
def test_the_fans_are_those_of_one_map(name: str, out: int, inner: int, fan_out: int) -> None:
    slot = find_slots(Attention(name, out, inner=inner))[0]
    assert slot.fan == Fan(D, fan_out)
    assert slot.blocks == out // fan_out


def test_xavier_bounds_by_the_width_of_one_map() -> None:
    """Law 23: ±√(6/(d + d)), not ±√(6/(d + 3d))."""
    model = Attention("qkv", 3 * D)
    row = initlab.initialize(model, "xavier_uniform", seed=0)["qkv.weight"]
    assert (row.fan_in, row.fan_out, row.note) == (D, D, "3 blocks")
    for part in thirds(model):
        assert float(part.abs().max()) == pytest.approx(math.sqrt(6 / (2 * D)), rel=0.01)


def test_he_by_fan_out_has_the_std_of_three_separate_layers() -> None:
    model = Attention("qkv", 3 * D)
    initlab.initialize(model, "he", mode="fan_out", seed=0)
    for part in thirds(model):
        assert float(part.std()) == pytest.approx(math.sqrt(2 / D), rel=0.05)


@pytest.mark.parametrize("parametrized", [False, True])
def test_orthogonal_makes_each_third_orthogonal(parametrized: bool) -> None:
    model = Attention("qkv", 3 * D).double()
    if parametrized:
        nn.utils.parametrizations.weight_norm(model.get_submodule("qkv"))
    initlab.initialize(model, "orthogonal", seed=0)
    for part in model.get_submodule("qkv").weight.detach().chunk(3):  # type: ignore[operator]  # a tensor
        assert torch.allclose(part @ part.T, torch.eye(D, dtype=torch.float64))


def test_a_layer_that_multiplies_from_the_right_holds_its_maps_side_by_side() -> None:
    """As `c_attn` of the library's GPT-2."""
    kind = pytest.importorskip("transformers.pytorch_utils").Conv1D
    model = nn.ModuleDict({"c_attn": kind(3 * D, D), "other": nn.Linear(D, D)})
    initlab.initialize(model, "orthogonal", seed=0)
    for part in model.get_parameter("c_attn.weight").detach().chunk(3, 1):
        assert torch.allclose(part @ part.T, torch.eye(D), atol=1e-5)


def test_what_the_user_says_of_a_layer_counts() -> None:
    class Own(nn.Linear):
        def initlab_weights(self) -> dict[str, tuple[str, str]]:
            return {"weight": ("out in", "bias")}

    model = nn.ModuleDict({"qkv": Own(D, 3 * D)})
    assert find_slots(model)[0].fan == Fan(D, 3 * D)


def test_a_branch_is_scaled_by_its_values_alone() -> None:
    """As with torch's attention: scaling queries and keys does not scale the branch."""
    model, plain = Block(), Block()
    initlab.initialize(model, "fixup", seed=0)
    initlab.initialize(plain, "he_normal", seed=0)
    (query, key, value), base = thirds(model, "attention.qkv"), thirds(plain, "attention.qkv")
    assert torch.equal(query, base[0])
    assert torch.equal(key, base[1])
    assert torch.allclose(value, base[2] * 2**-0.5)


def test_the_mlp_behind_it_is_in_its_block() -> None:
    """vit_jax has small biases in MLPs, and none in attentions."""
    model = Block()
    initlab.initialize(model, "vit_jax", seed=0)
    assert not model.get_parameter("attention.qkv.bias").any()
    assert float(model.get_parameter("first.bias").detach().std()) == pytest.approx(1e-6, rel=0.4)


@pytest.mark.parametrize("scheme", ["moco", "vit_jax"])
def test_recipes_that_always_knew_it_draw_what_they_drew(scheme: str) -> None:
    """Three draws one after another from the weight's own stream, each within the bound of a square map."""
    model = nn.ModuleDict({"patches": nn.Linear(9, D), "qkv": nn.Linear(D, 3 * D), "head": nn.Linear(D, 3)})
    initlab.initialize(model, scheme, seed=3)
    draws, bound = stream(3, "qkv.weight"), math.sqrt(6 / (2 * D))
    for part in thirds(model):
        assert torch.equal(part, torch.empty(D, D).uniform_(-bound, bound, generator=draws))
