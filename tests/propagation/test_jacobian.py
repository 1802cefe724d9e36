"""Singular values against the whole Jacobian by autograd."""

import copy

import pytest
import torch
from torch import nn

from initlab.propagation.jacobian import MOST_OUTPUTS, singular_values
from tests.helpers import linear
from tests.propagation.networks import chain, probe_all, rows, together


def values_of(model: nn.Module, inputs: torch.Tensor, count: int, *, vectorized: bool = True) -> torch.Tensor:
    return singular_values(together([model]), inputs, rows=count, vectorized=vectorized)[0]


def expected(model: nn.Module, inputs: torch.Tensor, count: int) -> torch.Tensor:
    """From d outputs[i] / d inputs[i], with all rows sent through together."""
    jacobian = torch.autograd.functional.jacobian(model, inputs)
    return torch.stack([torch.linalg.svdvals(jacobian[row, :, row].flatten(1)) for row in range(count)])


@pytest.mark.parametrize("vectorized", [True, False])
def test_all_of_a_small_network(vectorized: bool) -> None:
    model, inputs = chain(6, 30, 30, 4).double(), rows().double()
    found = values_of(model, inputs, 5, vectorized=vectorized)
    torch.testing.assert_close(found, expected(model, inputs, 5))


def test_images() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3)).double()
    images = torch.randn(4, 2, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(values_of(model, images, 2), expected(model, images, 2))


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize("sizes", [(40, 60, MOST_OUTPUTS + 1), (200, 200, 200, 200), (3, 60, 100), (100, 2, 100)])
def test_the_largest_of_a_wide_output(sizes: tuple[int, ...], vectorized: bool) -> None:
    """To four digits, also where few inputs or units leave few directions to look into."""
    model, inputs = chain(*sizes).double(), rows(6, sizes[0]).double()
    found = values_of(model, inputs, 3, vectorized=vectorized)
    assert found.shape == (3, 1)
    torch.testing.assert_close(found, expected(model, inputs, 3)[:, :1], rtol=1e-4, atol=0)
    single = values_of(copy.deepcopy(model).float(), inputs.float(), 3, vectorized=vectorized)
    torch.testing.assert_close(single, found, rtol=1e-3, atol=0)


def test_no_slope_has_no_largest() -> None:
    model = chain(40, 60, 100)
    nn.init.zeros_(linear(model, 0).weight)
    assert not values_of(model, rows(6, 40), 3).any()
    nn.init.constant_(linear(model, 0).weight, torch.nan)
    assert values_of(model, rows(6, 40), 3).isnan().all()


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize("slopes", [1, 30])
def test_learned_slopes(slopes: int, vectorized: bool) -> None:
    """torch's PReLU cannot be batched over members and directions at once."""
    models = [chain(6, 30, 30, 4, activation=lambda: nn.PReLU(slopes)).double() for _ in range(2)]
    inputs = rows().double()
    found = singular_values(together(models), inputs, rows=5, vectorized=vectorized)
    for model, values in zip(models, found, strict=True):
        torch.testing.assert_close(values, expected(model, inputs, 5))


def test_theory_knows_their_mean_square() -> None:
    """A linear chain's is known: the product of n·var over the layers that lead to the input."""
    model = nn.Sequential(*[nn.Linear(200, 200) for _ in range(3)], nn.Linear(200, 50))
    found = probe_all(model, rows(4, 200), scheme="normal", seeds=8, std=0.05).spectrum
    assert found["predicted_mean_square"].iloc[0] == pytest.approx((200 * 0.05**2) ** 4, rel=0.02)
    assert (found["singular_value"] ** 2).mean() == pytest.approx(found["predicted_mean_square"].iloc[0], rel=0.1)


def test_outputs_that_are_no_rows_have_none() -> None:
    class Named(nn.Module):
        def __init__(self, total: bool) -> None:
            super().__init__()
            self.layer, self.total = nn.Linear(6, 3), total

        def forward(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            outputs = self.layer(inputs)
            return {"logits": outputs.sum() if self.total else outputs}

    assert len(probe_all(Named(total=False), rows()).spectrum) == 8 * 3
    assert probe_all(Named(total=True), rows()).spectrum.empty
    assert len(probe_all(chain(6, 3), (rows(),)).spectrum) == 8 * 3
