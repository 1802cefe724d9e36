"""Named sets of rules: what they name in a network, what users change, and which networks they refuse."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers import Facts, Recipe, Role, find_scheme, list_initializers, registry
from initlab.initializers.recipes import example_of
from initlab.models.gpt import GPT
from initlab.models.vision_transformer import VisionTransformer

RECIPES = [name for name, scheme in list_initializers().items() if scheme.level == "rules"]


def gpt(**choices: Any) -> GPT:
    sizes = {"width": 32, "depth": 3, "ratio": 2, **choices}
    return GPT((8,), 16, Activation("gelu"), vocabulary=16, every_step=True, **sizes)


def encoder(*, depth: int = 2, norm_first: bool = False) -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=norm_first)
    return nn.Sequential(nn.TransformerEncoder(layer, depth, enable_nested_tensor=False), nn.Linear(32, 5))


class Own(nn.Module):
    """Post-norm blocks of a user's own with torch's attention, whose skips are multiplied by DeepNorm's number."""

    def __init__(self, *, norms: bool = True) -> None:
        super().__init__()
        self.skip = 4**0.25
        self.attentions = nn.ModuleList(nn.MultiheadAttention(32, 4, batch_first=True) for _ in range(2))
        self.mlps = nn.ModuleList(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(32) if norms else nn.Identity() for _ in range(4))
        self.output = nn.Linear(32, 5)

    def residual_branches(self) -> list[list[nn.Module]]:
        found: list[list[nn.Module]] = []
        for attention, mlp in zip(self.attentions, self.mlps, strict=True):
            found += [
                [attention, attention.get_submodule("out_proj")],
                [mlp.get_submodule("0"), mlp.get_submodule("2")],
            ]
        return found


def std(tensor: Tensor) -> float:
    return float(tensor.detach().std())


def near(value: float, *, entries: int) -> Any:
    return pytest.approx(value, rel=4 / math.sqrt(2 * entries))


def test_the_report_says_which_rule_hit_a_parameter() -> None:
    report = initlab.initialize(gpt(), "vit_jax", seed=0)
    assert {row.hit for row in report} == {"", "output layer", "embedding", "bias in an MLP branch"}
    assert (report["blocks.0.first.bias"].rule, report["blocks.0.first.bias"].hit) == (
        "normal",
        "bias in an MLP branch",
    )
    assert (report["output.weight"].rule, report["output.weight"].hit) == ("zeros", "output layer")
    assert report.scheme == "vit_jax"


def test_what_users_set_comes_first() -> None:
    rules: dict[Any, Any] = {
        "blocks.0.second": ("constant", {"value": 0.5}),
        "*.query.bias": ("constant", {"value": 7.0}),
        "*": "gpt2",
    }
    model = gpt()
    report = initlab.initialize(model, rules, output="ones", embedding="zeros", bias=3.0, seed=0)
    assert bool((model.blocks[0].get_parameter("second.weight") == 0.5).all())
    assert bool((model.output.weight == 1).all())
    assert not model.tokens.weight.any()
    assert bool((model.output.bias == 3).all())
    assert bool((model.blocks[1].get_parameter("attention.query.bias") == 7).all())
    assert report["blocks.0.second.weight"].hit == "blocks.0.second"
    assert std(model.blocks[1].get_parameter("second.weight")) == near(0.02 / math.sqrt(6), entries=2048)
    jax = gpt()
    initlab.initialize(jax, "vit_jax", bias=3.0, output="he", seed=0)
    assert all(
        bool((bias == 3).all()) for name, bias in jax.named_parameters() if name.endswith("bias") and "norm" not in name
    )
    assert std(jax.output.weight) == near(math.sqrt(2 / 32), entries=512)


def test_what_is_frozen_or_excluded_stays() -> None:
    model = gpt()
    model.blocks[0].get_parameter("first.bias").requires_grad_(False)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    report = initlab.initialize(model, "vit_jax", exclude="blocks.1", seed=0)
    for name in ("blocks.0.first.bias", "blocks.1.first.bias", "blocks.1.second.weight"):
        assert torch.equal(model.get_parameter(name), kept[name])
    assert report["blocks.1.second.weight"].note == "excluded"
    assert std(model.blocks[0].get_parameter("second.bias")) == near(1e-6, entries=32)


@pytest.mark.parametrize("depth", [2, 6])
def test_the_summed_variance_of_gpt2s_branches_does_not_grow_with_depth(depth: int) -> None:
    """Law 15: the last layers' std is 1/√(2L) of the others', so that 2L branches add up to those of one."""
    model = VisionTransformer((1, 8, 8), 5, Activation("gelu"), width=64, depth=depth)
    initlab.initialize(model, "gpt2", seed=0)
    ends = [branch[-1].get_parameter("weight") for branch in model.residual_branches()]
    others = [branch[0].get_parameter("weight") for branch in model.residual_branches()]
    ratio = math.sqrt(sum(std(end) ** 2 for end in ends) / len(ends)) / std(others[0])
    assert ratio == near(1 / math.sqrt(2 * depth), entries=4096)
    assert sum(std(end) ** 2 for end in ends) == near(0.02**2, entries=4096)


def test_torchs_own_blocks_need_no_method() -> None:
    """`nn.TransformerEncoder` deep-copies one layer, so that all start equal: here they do not."""
    model = encoder(depth=3)
    first, second = (model.get_parameter(f"0.layers.{block}.linear1.weight") for block in (0, 1))
    assert torch.equal(first, second)
    initlab.initialize(model, "gpt2", seed=0)
    assert not torch.equal(first, second)
    for name in ("self_attn.out_proj", "linear2"):
        assert std(model.get_parameter(f"0.layers.1.{name}.weight")) == near(0.02 / math.sqrt(6), entries=1024)
    assert std(model.get_parameter("0.layers.1.self_attn.in_proj_weight")) == near(0.02, entries=3072)


def test_deepnorm_scales_the_values_alone_of_a_fused_attention() -> None:
    """Law 23, and query and key as they are, in one matrix of torch's attention."""
    model = Own()
    report = initlab.initialize(model, "deepnorm", seed=0)
    query, key, value = model.attentions[0].get_parameter("in_proj_weight").chunk(3)
    plain, factor = math.sqrt(2 / 64), 16**-0.25
    for part, expected in ((query, plain), (key, plain), (value, plain * factor)):
        assert std(part) == near(expected, entries=1024)
    assert std(model.attentions[0].get_parameter("out_proj.weight")) == near(plain * factor, entries=1024)
    assert report["attentions.0.in_proj_weight"].hit == "in a branch"


def test_a_stacked_weight_of_gates_and_a_fused_one_are_seen_by_their_recipes() -> None:
    model = nn.Sequential(nn.LSTM(16, 32, num_layers=2))
    initlab.initialize(model, "keras_default", seed=0)
    recurrent = model.get_parameter("0.weight_hh_l1").detach()
    assert torch.allclose(recurrent.T @ recurrent, torch.eye(32), atol=1e-5)
    assert model.get_parameter("0.bias_hh_l1").tolist() == [0.0] * 32 + [1.0] * 32 + [0.0] * 64
    assert not model.get_parameter("0.bias_ih_l1").any()
    gru = nn.Sequential(nn.GRU(16, 32))
    initlab.initialize(gru, "flax_default", seed=0)
    for gate in gru.get_parameter("0.weight_hh_l0").detach().chunk(3):
        assert torch.allclose(gate.T @ gate, torch.eye(32), atol=1e-5)


def test_timms_parameters_of_their_own_are_filled() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cls_token, self.pos_embed = nn.Parameter(torch.ones(1, 1, 64)), nn.Parameter(torch.ones(1, 16, 64))
            self.patches, self.head = nn.Conv2d(1, 64, 4, 4), nn.Linear(64, 5)

    model = Tokens()
    report = initlab.initialize(model, "vit_timm", seed=0)
    assert std(model.pos_embed) == near(0.02, entries=1024)
    assert std(model.cls_token) == near(1e-6, entries=64)
    assert report["pos_embed"].hit == "learned positions"
    assert std(model.patches.weight) == near(1 / 4 / math.sqrt(3), entries=1024)
    assert model.patches.bias is not None
    assert bool(model.patches.bias.any())


@pytest.mark.parametrize(("tied", "hit"), [(False, "embedding"), (True, "output layer")])
def test_a_tied_head_follows_the_rule_for_outputs(tied: bool, hit: str) -> None:
    """An untied lm_head of std 1 starts far above ln C; a tied one must not get the embedding's std of 1 either."""
    model = gpt(tied=tied)
    report = initlab.initialize(model, "depth_scaled", seed=0)
    assert report["tokens.weight"].hit == hit
    tokens = torch.randint(16, (64, 8), generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.roll(-1, 1).flatten())
    assert float(loss.detach()) == pytest.approx(math.log(16), abs=0.8)


def test_the_padding_row_of_an_embedding_stays_zero() -> None:
    model = nn.Sequential(nn.Embedding(10, 32, padding_idx=3), nn.Linear(32, 10))
    for name in ("small_init", "keras_default", "flax_default", "haiku_default"):
        initlab.initialize(model, name, seed=0)
        weight = model.get_parameter("0.weight")
        assert not weight[3].any()
        assert bool(weight[2].any())


def test_a_resized_head_alone_is_filled_anew() -> None:
    """A head for other classes in a network whose weights are to stay."""
    model = gpt()
    initlab.initialize(model, "gpt2", seed=0)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    model.output = nn.Linear(32, 3)
    initlab.initialize(model, "gpt2", only="output", seed=1)
    assert std(model.output.weight) == near(0.02, entries=96)
    same = [name for name, value in model.state_dict().items() if not name.startswith("output")]
    assert all(torch.equal(model.state_dict()[name], kept[name]) for name in same)


def test_a_zero_head_starts_at_ln_c() -> None:
    """Law 14, to the last bit but rounding: all logits are equal."""
    model = VisionTransformer((1, 8, 8), 7, Activation("gelu")).double()
    initlab.initialize(model, "vit_jax", seed=0)
    inputs = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = nn.functional.cross_entropy(model(inputs), torch.arange(64) % 7)
    assert float(loss.detach()) == pytest.approx(math.log(7), abs=1e-14)


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        (
            "deepnorm",
            gpt(),
            r"skips multiplied by \(2·3\)\^¼ = 1.565 before a norm, and GPT multiplies by 1; set model.norm",
        ),
        ("deepnorm", encoder(), "Sequential multiplies by 1;"),
        ("subln", gpt(), "two norms a branch, and GPT has 7 in 6 branches; set model.norm=sub"),
        ("t_fixup", gpt(), "without norms, and GPT has 7; set model.norm=none"),
        ("gpt2", nn.Linear(3, 3), "works on residual branches, and Linear names none; choose a residual network"),
        ("wang_init", nn.Linear(3, 3), "works on residual branches"),
        ("mimetic", nn.Linear(3, 3), "works on attention, and Linear has none; choose model=vit or gpt"),
    ],
)
def test_networks_that_a_recipe_is_not_made_for_are_refused(name: str, model: nn.Module, message: str) -> None:
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UserError, match=message) as refused:
        initlab.initialize(model, name, seed=0)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(value, kept[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head": "gpt2", "*": "he"}, "rule head: init=gpt2 works on whole networks"),
        ("gpt2", "init.mode: init=gpt2 has no such parameter; it has bias"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: Any, message: str) -> None:
    params: dict[str, Any] = {"mode": "fan_in"} if isinstance(given, str) else {}
    with pytest.raises(UserError, match=message):
        initlab.initialize(gpt(), given, seed=0, **params)
    with pytest.raises(UserError, match=r"init.output=gpt2: works on whole networks only"):
        initlab.initialize(gpt(), "he", output="gpt2", seed=0)


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(UserError, match=r"init.std=0.0: expected a positive number"):
        initlab.initialize(gpt(), "gpt2", std=0.0, seed=0)


def test_a_recipe_can_be_the_base_of_a_scheme_for_whole_networks() -> None:
    model = gpt()
    report = initlab.initialize(model, "zero_branch", base="haiku_default", seed=0)
    assert report["blocks.0.second.weight"].rule == "variance_scaling, then zero_branch"
    assert not model.blocks[0].get_parameter("second.weight").any()
    with pytest.raises(UserError, match="init=t_fixup is made for networks without norms"):
        initlab.initialize(gpt(), "zero_branch", base="t_fixup", seed=0)


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_reads_as_a_mapping_that_ends_in_all_others(name: str) -> None:
    words = example_of(find_scheme(name))
    assert list(words)[-1] == "*"


def test_a_recipe_of_ones_own_is_a_function_that_returns_a_mapping() -> None:
    @initlab.register_initializer("own_recipe", level="rules", needs=("branches",), source="a test")
    def own_recipe(facts: Facts, *, factor: float = 2.0) -> Recipe:
        """All ones, the last layers of branches by their number."""
        return {Role.BRANCH_END: ("constant", {"value": factor * facts.branches}), "*": "ones"}

    try:
        model = gpt()
        initlab.initialize(model, "own_recipe", factor=3.0, seed=0)
        assert bool((model.blocks[0].get_parameter("second.weight") == 18).all())
        assert bool((model.blocks[0].get_parameter("first.weight") == 1).all())
    finally:
        del registry._SCHEMES["own_recipe"]
