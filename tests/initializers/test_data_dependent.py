"""Channels centred and of unit variance; layers balanced, where the output allows it."""

import pytest
import torch
from torch import nn

from initlab.base.errors import InitializationWarning
from initlab.modules.batch import Batch
from tests.helpers import linear
from tests.initializers.networks import Residual, batch_for, chain, convolutional, images, outputs_of, refine


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_channels_are_centred_and_of_unit_variance(activation: type[nn.Module]) -> None:
    """Transposed and grouped convolutions included."""
    model = convolutional(activation)
    refine(model, "data_dependent", Batch(images()), balance=False)
    for output in outputs_of(model, images()):
        channels = output.movedim(1, 0).flatten(1)
        assert torch.allclose(channels.mean(1), torch.zeros(1, dtype=torch.float64), atol=1e-9)
        assert torch.allclose(channels.std(1, correction=0), torch.ones(1, dtype=torch.float64))


def test_balancing_leaves_the_output_as_it_is() -> None:
    models = [chain(), chain()]
    for model, balance in zip(models, (False, True), strict=True):
        refine(model, "data_dependent", batch_for(model), balance=balance)
    inputs = batch_for(models[0]).inputs
    assert not torch.allclose(linear(models[0], 0).weight, linear(models[1], 0).weight)
    torch.testing.assert_close(models[0](inputs), models[1](inputs))


@pytest.mark.parametrize("model", [chain("tanh"), Residual()])
def test_it_does_not_balance_what_would_change(model: nn.Module) -> None:
    report = refine(model, "data_dependent", batch_for(model))
    assert any("not balanced: that would change the output" in row.note for row in report)
    assert all(
        torch.allclose(out.std(0, correction=0), torch.ones(1, dtype=torch.float64))
        for out in outputs_of(model, batch_for(model).inputs)[:1]
    )


def test_dead_channels_are_said() -> None:
    model = chain()
    with pytest.warns(InitializationWarning) as caught:
        refine(model, "data_dependent", Batch(torch.ones(8, 64, dtype=torch.float64)))
    assert "256 channels of 0, 256 channels of 2 and 64 channels of 4 are the same for every row" in str(
        caught[0].message
    )
