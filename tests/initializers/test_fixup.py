"""Residual branches, and networks without."""

import pytest
from torch import nn

import initlab
from initlab.base.errors import UserError
from tests.helpers import linear
from tests.initializers.networks import Residual, chain, refine


def test_the_output_may_have_its_own_rule() -> None:
    model = Residual()
    refine(model, "fixup", None, output="ones")
    assert (model.output.weight == 1).all()
    assert not any(linear(block, 1).weight.any() for block in model.blocks)


@pytest.mark.parametrize("bias", [None, 0.1])
def test_the_bias_is_the_one_that_is_reported(bias: float | None) -> None:
    """The output layer's weight is 0; its bias is 0, too, unless one is asked for."""
    model = Residual()
    nn.init.constant_(model.output.bias, 7.0)
    report = initlab.initialize(model, "fixup", seed=0, bias=bias)
    assert not model.output.weight.any()
    assert (model.output.bias == (bias or 0)).all()
    assert report["output.bias"].rule == f"bias: {bias or 0:g}"
    assert report["output.bias"].mean == pytest.approx(bias or 0)


def test_networks_without_branches_are_refused() -> None:
    with pytest.raises(UserError, match="works on residual branches, and Sequential names none"):
        refine(chain(), "fixup", None)
    empty = Residual()
    empty.residual_branches = list  # type: ignore[method-assign]  # a network that lists none
    with pytest.raises(UserError, match="has no residual branch; make it deeper"):
        refine(empty, "fixup", None)
