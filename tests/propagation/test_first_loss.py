"""Where the loss starts, and which layer makes it so large."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.base.chance import FAR, is_far, start_words
from initlab.modules.batch import Batch
from initlab.modules.stack import stack_members
from initlab.propagation.first_loss import FirstLoss
from initlab.propagation.measure import Loss
from initlab.propagation.probe import probe_networks

ROWS, CLASSES = 200, 10


def summed(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="sum")


def chain(*stds: float) -> nn.Sequential:
    sizes = [30, *[50] * (len(stds) - 1), CLASSES]
    layers = [nn.Linear(fan_in, out) for fan_in, out in itertools.pairwise(sizes)]
    for layer, std in zip(layers, stds, strict=True):
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def look(*networks: nn.Module) -> FirstLoss:
    torch.manual_seed(1)
    return measured(networks, Batch(torch.randn(ROWS, 30), torch.arange(ROWS) % CLASSES), summed)


def measured(networks: Sequence[nn.Module], batch: Batch, loss: Loss) -> FirstLoss:
    found = probe_networks(
        stack_members(networks), batch, seeds=range(len(networks)), vectorized=False, loss=loss
    ).first_loss
    assert found is not None
    return found


def test_of_zero_outputs_it_is_the_logarithm_of_the_classes() -> None:
    found = look(chain(1.0, 0.0), chain(1.0, 0.0))
    assert found.measured == pytest.approx(math.log(CLASSES))
    assert found.chance == pytest.approx(math.log(CLASSES))
    assert not found.far


@pytest.mark.parametrize(("stds", "layer", "growth"), [((0.1, 0.1, 5.0), "2", 1250), ((9.0, 0.14, 0.2), "0", 2430)])
def test_the_layer_that_magnifies_most_is_named(stds: tuple[float, ...], layer: str, growth: float) -> None:
    """Outputs have fan_in · std² times the mean square of the inputs."""
    torch.manual_seed(0)
    networks = [chain(*stds) for _ in range(3)]
    found = look(*networks)
    assert found.far
    assert found.layer == layer
    assert found.growth == pytest.approx(growth, rel=0.2)
    torch.manual_seed(1)
    inputs, targets = torch.randn(ROWS, 30), torch.arange(ROWS) % CLASSES
    losses = [F.cross_entropy(network(inputs), targets).item() for network in networks]
    assert found.measured == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_tied_tokens_of_variance_one_start_far_away_by_the_head() -> None:
    """Where N(0, 1) fills both in one: E|x·w|² is 64 of another token, and E|x·x|² = 64² + 128 of the token itself."""
    torch.manual_seed(0)
    embedding, head = nn.Embedding(100, 64), nn.Linear(64, 100, bias=False)
    head.weight = embedding.weight
    tokens = torch.randint(100, (64, 5))
    batch = Batch(tokens, torch.randint(100, (64, 5)))
    found = measured([nn.Sequential(embedding, head)], batch, lambda o, t: summed(o.flatten(0, 1), t.flatten()) / 5)
    assert found.layer == "1"
    assert found.growth == pytest.approx((99 * 64 + 64**2 + 128) / 100, rel=0.1)
    assert found.chance == pytest.approx(math.log(100), rel=1e-5)


@pytest.mark.parametrize(
    ("measured", "chance", "far"),
    [
        (FAR + 0.1, 1.0, True),
        (FAR - 0.1, 1.0, False),
        (math.nan, 1.0, False),
        (5.0, 0.0, False),
        (5.0, math.inf, False),
    ],
)
def test_what_counts_as_far(measured: float, chance: float, far: bool) -> None:
    assert is_far(measured, chance) is far


def test_it_is_said_in_numbers_that_can_be_read() -> None:
    assert start_words(2.3e6, 2.3) == "the loss starts at 2.3e+06, 1e+06 × that of outputs of zero (2.3)"
    assert str(FirstLoss(46.0, 2.3)) == "the loss starts at 46, 20 × that of outputs of zero (2.3)"
