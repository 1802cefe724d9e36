"""Residual branches, and networks without."""

import pytest

from initlab.base.errors import UserError
from tests.helpers import linear
from tests.initializers.networks import Residual, chain, refine


def test_the_output_may_have_its_own_rule() -> None:
    model = Residual()
    refine(model, "fixup", None, output="ones")
    assert (model.output.weight == 1).all()
    assert not any(linear(block, 1).weight.any() for block in model.blocks)


def test_networks_without_branches_are_refused() -> None:
    with pytest.raises(UserError, match="works on residual branches, and Sequential names none"):
        refine(chain(), "fixup", None)
    empty = Residual()
    empty.residual_branches = list  # type: ignore[method-assign]  # a network that lists none
    with pytest.raises(UserError, match="has no residual branch; make it deeper"):
        refine(empty, "fixup", None)
