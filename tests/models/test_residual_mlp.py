"""The residual multilayer perceptron, against its formula."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.models.parts import ScalarBias, ScalarMultiplier
from initlab.models.residual_mlp import ResidualMLP
from tests.models.helpers import scramble

TANH = Activation("tanh")


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("scalars", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_it_is_its_formula(norm: str, scalars: bool, bias: bool) -> None:
    model = ResidualMLP((2, 3), 4, TANH, depth=3, width=5, norm=norm, scalars=scalars, bias=bias).double()
    scramble(model)
    left = {name: value.detach() for name, value in model.named_parameters()}

    def normalized(signal: Tensor, name: str) -> Tensor:
        if norm == "none":
            return signal
        scale, shift = left.pop(f"{name}.weight"), left.pop(f"{name}.bias")
        rows = 0 if norm == "batch" else 1
        centred = signal - signal.mean(rows, keepdim=True)
        return centred / (centred.square().mean(rows, keepdim=True) + 1e-5).sqrt() * scale + shift

    def plus_scalar(signal: Tensor, name: str) -> Tensor:
        return signal + left.pop(f"{name}.bias") if scalars else signal

    def activated(signal: Tensor, name: str) -> Tensor:
        """Norm, scalar, activation, scalar."""
        signal = plus_scalar(normalized(signal, f"{name}.0"), f"{name}.1")
        return plus_scalar(torch.tanh(signal), f"{name}.3")

    def linear(signal: Tensor, name: str) -> Tensor:
        return F.linear(signal, left.pop(f"{name}.weight"), left.pop(f"{name}.bias") if bias else None)

    inputs = torch.randn(7, 2, 3, dtype=torch.float64)
    signal = linear(plus_scalar(inputs.flatten(1), "before_stem"), "stem")
    for name in ("branches.0", "branches.1", "branches.2"):
        branch = linear(activated(signal, f"{name}.before_first"), f"{name}.first")
        branch = linear(activated(branch, f"{name}.before_second"), f"{name}.second")
        signal = signal + (branch * left.pop(f"{name}.multiplier.factor") if scalars else branch)
    expected = linear(activated(signal, "before_output"), "output")
    assert not left  # each parameter had its place
    torch.testing.assert_close(model(inputs), expected)


def test_scalars_begin_as_if_they_were_not_there() -> None:
    torch.manual_seed(0)
    without = ResidualMLP((6,), 4, TANH, depth=3, width=5)
    with_scalars = ResidualMLP((6,), 4, TANH, depth=3, width=5, scalars=True)
    with_scalars.load_state_dict(without.state_dict(), strict=False)
    inputs = torch.randn(7, 6)
    assert torch.equal(with_scalars(inputs), without(inputs))
    kinds = [type(layer) for layer in with_scalars.modules()]
    assert kinds.count(ScalarMultiplier) == 3  # one a branch
    assert kinds.count(ScalarBias) == 8 + 7  # one before each linear layer and each activation


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "bach"}, r"model.norm=bach: expected one of none, batch, layer"),
        ({"depth": 0}, r"model.depth=0: expected a whole number of at least 1"),
        ({"width": -3}, r"model.width=-3: expected a whole number of at least 1"),
    ],
)
def test_refusals(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ResidualMLP((3,), 2, TANH, **settings)
