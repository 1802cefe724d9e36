"""Batch norm one operation after another is torch's."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initlab.cohort.batch_norm import BatchNormApart, batch_norm


@pytest.mark.parametrize("shape", [(7, 5), (3, 5, 4, 2)])
@pytest.mark.parametrize(("dtype", "places"), [(torch.float64, 1e-12), (torch.bfloat16, 1e-2)])
def test_it_is_torchs_in_training_and_evaluation(shape: tuple[int, ...], dtype: torch.dtype, places: float) -> None:
    """Of 16 bits as on a GPU: the running statistics and the weights are in 32."""
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    inputs = torch.randn(shape, dtype=wide).mul(3).add(1).to(dtype)
    weight, bias = torch.randn(5, dtype=wide), torch.randn(5, dtype=wide)
    ours, torchs = ((torch.zeros(5, dtype=wide), torch.ones(5, dtype=wide)) for _ in range(2))
    for training in (True, True, False):
        found = batch_norm(inputs, *ours, weight, bias, training, 0.3, 1e-3)
        expected = F.batch_norm(inputs.to(wide), *torchs, weight, bias, training, 0.3, 1e-3)
        assert found.dtype == dtype
        torch.testing.assert_close(found.to(wide), expected, rtol=places, atol=places)
        for one, other in zip(ours, torchs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_its_context_takes_the_place_of_torchs() -> None:
    layer, inputs = nn.BatchNorm1d(5), torch.randn(7, 5)
    with BatchNormApart(), torch.profiler.profile() as seen:
        layer(inputs)
    names = {event.name for event in seen.events() or ()}
    assert "aten::var_mean" in names
    assert "aten::batch_norm" not in names
