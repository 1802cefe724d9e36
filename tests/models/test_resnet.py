"""The residual convolutional net, against torchvision's and against Fixup's formula."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import ScalarBias, ScalarMultiplier
from initlab.models.resnet import BasicBlock, ResNet
from tests.models.helpers import scramble

RELU = Activation("relu")


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """torchvision's ResNet-18 with the stem for small images, and weights all of its own."""
    network: nn.Module = resnet18(num_classes=10)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    scramble(network)
    return network.double()


@pytest.mark.parametrize("side", [8, 28, 32])
def test_it_is_torchvisions_for_small_images(side: int, reference: nn.Module) -> None:
    """With the same weights, parameter by parameter in the order of definition."""
    model = ResNet((3, side, side), 10, RELU).double()
    ours, theirs = model.state_dict(), reference.state_dict()
    assert [value.shape for value in ours.values()] == [value.shape for value in theirs.values()]
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_173_962
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    inputs = torch.randn(4, 3, side, side, dtype=torch.float64)
    for training in (False, True):
        torch.testing.assert_close(model.train(training)(inputs), reference.train(training)(inputs))


@pytest.mark.parametrize(("fan_in", "stride"), [(4, 1), (3, 1), (4, 2), (3, 2)])
def test_a_block_with_scalars_is_fixups(fan_in: int, stride: int) -> None:
    """As the authors write it, with a projection where the shape changes."""
    block = BasicBlock(fan_in, 4, stride, Activation("tanh"), norm="none", scalars=True, bias=False).double()
    scramble(block)
    left = {name: value.detach() for name, value in block.named_parameters()}
    inputs = torch.randn(2, fan_in, 7, 6, dtype=torch.float64)
    shifted = inputs + left.pop("before_first.bias")
    signal = F.conv2d(shifted, left.pop("first.weight"), stride=stride, padding=1)
    signal = torch.tanh(signal + left.pop("between.0.bias")) + left.pop("between.2.bias")
    signal = F.conv2d(signal, left.pop("second.weight"), padding=1) * left.pop("multiplier.factor")
    shortcut = inputs
    if (fan_in, stride) != (4, 1):
        shortcut = F.conv2d(shifted, left.pop("projection.0.weight"), stride=stride)
    expected = torch.tanh(signal + shortcut + left.pop("activation.0.bias"))
    assert not left
    torch.testing.assert_close(block(inputs), expected)


def test_scalars_begin_as_if_they_were_not_there() -> None:
    settings: dict[str, Any] = {"norm": "none", "blocks": (1, 2), "width": 4}
    without = ResNet((1, 8, 8), 3, RELU, **settings)
    with_scalars = ResNet((1, 8, 8), 3, RELU, **settings, scalars=True)
    with_scalars.load_state_dict(without.state_dict(), strict=False)
    inputs = torch.randn(2, 1, 8, 8)
    assert torch.equal(with_scalars(inputs), without(inputs))
    kinds = [type(layer) for layer in with_scalars.modules()]
    assert kinds.count(ScalarMultiplier) == 3  # one a branch
    # One before each convolution and the output, a projection sharing its block's, and one before each activation.
    assert kinds.count(ScalarBias) == (1 + 6 + 1) + (1 + 6)


def test_stages_double_the_channels_and_halve_the_image() -> None:
    model = ResNet((1, 28, 28), 10, RELU, blocks=(1, 1, 2), width=4)
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: object, signal: Tensor) -> None:
        seen.append(tuple(signal.shape[1:]))

    for block in model.blocks:
        block.register_forward_hook(note)
    model(torch.zeros(1, 1, 28, 28).expand(2, -1, -1, -1))
    assert seen == [(4, 28, 28), (8, 14, 14), (16, 7, 7), (16, 7, 7)]


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((13,), {}, r"model=resnet needs images .* shape \(13,\); use model=mlp"),
        ((1, 8, 8), {"norm": "layer"}, r"model.norm=layer: expected one of none, batch"),
        ((1, 8, 8), {"blocks": []}, r"model.blocks=\[\]: expected at least one stage"),
        ((1, 8, 8), {"blocks": [2, 0]}, r"model.blocks=\[2, 0\]: expected whole numbers of at least 1"),
        ((1, 8, 8), {"width": 0}, r"model.width=0: expected a whole number of at least 1"),
    ],
)
def test_refusals(shape: tuple[int, ...], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ResNet(shape, 3, RELU, **settings)
