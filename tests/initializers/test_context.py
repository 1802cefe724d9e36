"""Batches that do not fit, and how networks are looked at."""

import math
import warnings

import pytest
import torch
from torch import nn

from initlab.base.errors import UserError
from initlab.initializers import list_initializers
from initlab.modules.batch import Batch
from initlab.modules.measuring import differentiable
from tests.initializers.networks import batch_for, chain, convolutional, fill, images, is_special, refine

LOOKING = [
    scheme.name for scheme in list_initializers().values() if "batch" in scheme.needs and not is_special(scheme.name)
]


@pytest.mark.parametrize("scheme", LOOKING)
def test_without_a_batch(scheme: str) -> None:
    with pytest.raises(UserError, match=f"init={scheme} looks at data: give it a batch"):
        refine(chain(), scheme, None)


@pytest.mark.parametrize("scheme", LOOKING)
def test_a_batch_with_nan(scheme: str) -> None:
    rows = batch_for(chain())
    rows.inputs[3, 2] = math.nan
    with pytest.raises(UserError, match="batch: holds NaN or infinite numbers"):
        refine(chain(), scheme, rows)


@pytest.mark.parametrize("scheme", LOOKING)
def test_a_batch_of_the_wrong_shape(scheme: str) -> None:
    with pytest.raises(UserError, match=r"batch of shape \(8, 3\): Sequential cannot take it: .*8x3 and 64x256"):
        refine(chain(), scheme, Batch(torch.zeros(8, 3, dtype=torch.float64), torch.zeros(8, dtype=torch.long)))


@pytest.mark.parametrize("scheme", LOOKING)
def test_a_batch_without_rows(scheme: str) -> None:
    with pytest.raises(UserError, match=r"expected tensors of at least one row; got \(0, 64\)"):
        refine(chain(), scheme, Batch(torch.zeros(0, 64), torch.zeros(0)))


def test_what_a_scheme_passes_over_is_said() -> None:
    """Projections inside attention are no modules of their own."""
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    report = refine(model, "lsuv", Batch(torch.randn(32, 5, 8)))
    assert report["self_attn.in_proj_weight"].note == "as lsuv found it"
    assert report["linear1.weight"].note.startswith("output std 1.0000")


def test_no_warning_where_everything_is_reached() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for scheme in ("lsuv", "data_dependent", "autoinit"):
            fill(chain(), scheme)
    assert not caught


@pytest.mark.parametrize("scheme", ["metainit", "gradinit"])
@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(6), nn.InstanceNorm2d(6, affine=True), nn.InstanceNorm2d(6), nn.GroupNorm(2, 6)]
)
def test_norms_have_as_many_derivatives_as_are_needed(scheme: str, norm: nn.Module) -> None:
    model = convolutional()
    model[6] = norm.double()
    report = refine(model, scheme, Batch(images(), torch.arange(64) % 4), steps=2)
    assert all(math.isfinite(row.std) for row in report)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(6), nn.InstanceNorm1d(6, affine=True)])
def test_norms_are_rewritten_faithfully(norm: nn.Module) -> None:
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    inputs = torch.randn(5, 6, 7)
    expected = norm(inputs)
    with differentiable(norm):
        torch.testing.assert_close(norm(inputs), expected)
