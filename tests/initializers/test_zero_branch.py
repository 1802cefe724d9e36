"""Branches that add nothing at first: blocks are their skips, and gradients start in the second step."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers import list_initializers
from initlab.models.gpt import GPT
from initlab.models.resnet import ResNet
from initlab.models.vision_transformer import VisionTransformer


def vit(**choices: Any) -> VisionTransformer:
    return VisionTransformer((1, 8, 8), 5, Activation("gelu"), width=16, depth=2, **choices)


def images() -> Tensor:
    return torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("choices", [{}, {"residual": "rezero"}, {"residual": "layerscale"}, {"norm": "rms"}])
def test_a_block_is_its_skip_bit_for_bit(choices: dict[str, Any]) -> None:
    """Law 15."""
    model = vit(**choices)
    initlab.initialize(model, "zero_branch", seed=0)
    tokens = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(0))
    for block in model.blocks:
        assert torch.equal(block(tokens), tokens)


@pytest.mark.parametrize("what", ["projection", "scale"])
def test_gradients_enter_a_branch_in_the_second_step(what: str) -> None:
    """Law 15: in the first step the last operation alone moves."""
    model = vit(residual="plain" if what == "projection" else "skipinit")
    initlab.initialize(model, "zero_branch", what=what, seed=0)
    inner = [model.blocks[0].get_parameter(name) for name in ("attention.value.weight", "first.weight")]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images()), torch.arange(16) % 5).backward()
        for weight in inner:
            assert weight.grad is not None
            assert bool(weight.grad.any()) == (step == 1)
        optimizer.step()


def test_a_resnets_last_norms_are_zero_and_their_block_is_the_activation_of_its_skip() -> None:
    model = ResNet((1, 8, 8), 5, Activation("relu"), blocks=(2,), width=8)
    report = initlab.initialize(model, "zero_branch", seed=0)
    assert report["blocks.0.second_norm.weight"].note == "zero: the norm at the end of a branch"
    signal = torch.randn(4, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.blocks[0](signal), signal.relu())


def test_torchs_own_blocks_get_zero_projections() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 5))
    initlab.initialize(model, "zero_branch", seed=0)
    tokens = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model[0](tokens), tokens)


def for_branches() -> Iterator[str]:
    """The schemes that work on branches which may end in multipliers."""
    for name, scheme in list_initializers().items():
        if "branches" in scheme.needs and not {"scaled skips", "learned skips"} & {*scheme.needs}:
            yield name


@pytest.mark.parametrize("scheme", sorted(for_branches()))
@pytest.mark.parametrize("residual", ["rezero", "skipinit"])
def test_no_scheme_for_branches_lets_two_zeros_in_a_row_stand(scheme: str, residual: str) -> None:
    """Where multipliers are 0, the second step moves what is before them, or the scheme is refused."""
    model = vit(residual=residual, norm="sub" if scheme == "subln" else "none")
    if scheme == "fixup":
        with pytest.raises(UserError, match="the multipliers of VisionTransformer start from 0, too"):
            initlab.initialize(model, scheme, seed=0)
        return
    initlab.initialize(model, scheme, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images()), torch.arange(16) % 5).backward()
        optimizer.step()
    for branch in model.residual_branches():
        for layer in branch:
            gradient = layer.get_parameter("weight").grad
            assert gradient is not None
            assert bool(gradient.any())


@pytest.mark.parametrize(
    ("model", "what", "message"),
    [
        (vit(), "first", "init.what=first: expected one of last, projection, norm, scale"),
        (vit(), "norm", "no branch of VisionTransformer ends in a norm; use init.what=projection, or list"),
        (vit(), "scale", "no branch of VisionTransformer ends in a multiplier"),
        (
            vit(residual="rezero"),
            "projection",
            "multipliers of VisionTransformer start from 0, too, so that no gradient",
        ),
        (nn.Linear(3, 3), "last", "works on residual branches, and Linear names none"),
    ],
)
def test_what_a_network_has_not_is_refused(model: nn.Module, what: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        initlab.initialize(model, "zero_branch", what=what, seed=0)


def test_what_users_set_apart_stays() -> None:
    model = vit()
    initlab.initialize(model, {"blocks.0.second": "ones", "*": "zero_branch"}, seed=0)
    assert bool((model.blocks[0].get_parameter("second.weight") == 1).all())
    assert not model.blocks[1].get_parameter("second.weight").any()


@pytest.mark.parametrize("torchs", [False, True])
def test_mimetic_in_networks_of_ones_own(torchs: bool) -> None:
    """Law 21 where torch keeps query, key and value in one matrix, and in ours."""
    width = 64
    if torchs:
        model: nn.Module = nn.Sequential(nn.MultiheadAttention(width, 4), nn.Linear(width, 3))
        initlab.initialize(model, "mimetic", seed=0)
        value, out = model.get_parameter("0.in_proj_weight")[2 * width :], model.get_parameter("0.out_proj.weight")
    else:
        model = GPT((8,), 5, Activation("relu"), vocabulary=5, every_step=True, width=width)
        initlab.initialize(model, "mimetic", base="gpt2", seed=0)
        names = ("blocks.0.attention.value.weight", "blocks.0.attention.out.weight")
        value, out = (model.get_parameter(name) for name in names)
    assert float((out @ value).detach().trace()) / width == pytest.approx(-0.4, abs=0.4 * 4 / width)
