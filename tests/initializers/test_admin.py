"""Admin: skips as strong as what they carry, in networks with post-norm that have a place for it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.models.gpt import GPT
from initlab.models.parts import VectorMultiplier

TOKENS = torch.randint(16, (32, 8), generator=torch.Generator().manual_seed(0))


def gpt(norm: str = "post", residual: str = "admin", **choices: Any) -> GPT:
    return GPT(
        (8,), 16, Activation("gelu"), vocabulary=16, every_step=True, width=32, norm=norm, residual=residual, **choices
    )


def omegas(model: GPT) -> list[float]:
    factors = [module.get_parameter("factor") for module in model.skip_multipliers()]
    assert all(bool((factor == factor[0]).all()) for factor in factors)
    return [float(factor.detach()[0]) for factor in factors]


class Own(nn.Module):
    """Two branches of one layer; the norm stands after the sum, or before the branch."""

    def __init__(self, *, post: bool = True, norms: int = 2, skips: int = 2) -> None:
        super().__init__()
        self.post = post
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(8) if place < norms else nn.Identity() for place in range(2))
        self.skips = nn.ModuleList(VectorMultiplier(8, 1.0) for _ in range(2))
        self.listed = skips
        self.output = nn.Linear(8, 3)

    def residual_branches(self) -> list[list[nn.Module]]:
        return [[layer] for layer in self.layers]

    def skip_multipliers(self) -> list[nn.Module]:
        return list(self.skips)[: self.listed]

    def forward(self, signal: Tensor) -> Tensor:
        for layer, norm, skip in zip(self.layers, self.norms, self.skips, strict=True):
            seen = signal if self.post else norm(signal)
            signal = skip(signal) + layer(seen)
            signal = norm(signal) if self.post else signal
        logits: Tensor = self.output(signal)
        return logits


def test_learned_skips_change_nothing_until_they_are_filled() -> None:
    built = []
    for residual in ("plain", "admin"):
        model = gpt(residual=residual)
        initlab.initialize(model, "gpt2", seed=0)
        built.append(model(TOKENS))
    assert torch.equal(*built)


def test_tokens_enter_as_they_do_in_the_papers_code_and_skips_grow_with_each_branch() -> None:
    model = gpt(depth=3)
    report = initlab.initialize(model, "admin", batch=TOKENS, seed=0)
    assert float(model.get_parameter("tokens.weight").detach().std()) == pytest.approx(1.0, rel=0.1)
    found = omegas(model)
    assert found[0] == 1
    assert found == sorted(set(found))
    row = report["blocks.0.mlp_skip.factor"]
    assert (row.rule, row.note) == ("start: 1, then admin", f"ω = {found[1]:.4g}: what its skip carries so far")
    again = initlab.initialize(model, "xavier_uniform", seed=0)
    assert omegas(model) == [1.0] * 6
    assert again["blocks.0.mlp_skip.factor"].rule == "start: 1"


def test_what_users_say_of_embeddings_and_skips_counts() -> None:
    model = gpt()
    initlab.initialize(model, "admin", batch=TOKENS, seed=0, embedding="ones", exclude="blocks.0.mlp_skip.factor")
    assert bool((model.get_parameter("tokens.weight") == 1).all())
    assert omegas(model)[:2] == [1.0, 1.0]
    assert omegas(model)[2] != 1


def test_in_a_network_of_ones_own() -> None:
    model, rows = Own().double(), torch.randn(64, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    initlab.initialize(model, "admin", batch=rows, seed=0)
    branch = model.get_submodule("layers.0")(rows)
    expected = (rows.var(correction=0) + branch.var(correction=0)).sqrt()
    assert torch.allclose(model.get_parameter("skips.1.factor"), expected)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            gpt("post", "plain"),
            "fills learned multipliers of the skips, and GPT has none; set model.norm=post",
        ),
        (nn.Sequential(nn.Linear(8, 3)), "works on residual branches, and Sequential names none"),
        (Own(skips=1), r"Own lists 1 skip_multipliers\(\) for 2 branches; list one for each"),
        (Own(norms=1), "made for a norm after each sum, and Own has 1 in 2 branches; put one there"),
        (
            Own(post=False),
            "for a norm after each sum, and none is right before skips.1 of Own; set model.norm=post",
        ),
    ],
)
def test_what_is_not_built_for_it_is_refused_in_a_line(model: nn.Module, message: str) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = TOKENS if isinstance(model, GPT) else torch.randn(16, 8)
    with pytest.raises(UserError, match=message) as refused:
        initlab.initialize(model, "admin", batch=batch, seed=0)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_signal_that_is_the_same_everywhere_is_refused() -> None:
    with pytest.raises(UserError, match="mlp_skip the signal is the same everywhere, or not finite"):
        initlab.initialize(gpt(), "admin", batch=TOKENS, seed=0, embedding="zeros", base="zeros")


def test_skips_grow_only_where_a_norm_follows_the_sum() -> None:
    with pytest.raises(RefusedError, match="residual=admin: normalizes after the sum, not norm=pre; set norm=post"):
        gpt("pre")
