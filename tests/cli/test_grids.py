"""Grids on the command line."""

import numpy as np
import pytest

from initlab.base.errors import UserError
from initlab.cli.grids import expand_grids


def values(argument: str) -> list[float]:
    (text,) = expand_grids([argument])
    key, _, numbers = text.partition("=")
    assert key == "optim.lr"
    return [float(number) for number in numbers.split(",")]


def test_a_logarithmic_grid() -> None:
    assert expand_grids(["optim.lr=logspace(-4,0,5)"]) == ["optim.lr=0.0001,0.001,0.01,0.1,1"]
    np.testing.assert_allclose(values("optim.lr=logspace(-4, 0, 9)"), np.logspace(-4, 0, 9), rtol=5e-3)
    np.testing.assert_allclose(values("optim.lr=logspace(-1,-6,11)"), np.logspace(-1, -6, 11), rtol=5e-3)


def test_a_linear_grid() -> None:
    np.testing.assert_allclose(values("optim.lr=linspace(0.1,0.5,5)"), np.linspace(0.1, 0.5, 5))


def test_other_arguments_stay() -> None:
    others = ["-m", "init=he,xavier", "optim.lr=0.1", "model.hidden=[10]", "x=choice(1,2)", "name=logspace"]
    assert expand_grids(others) == others


@pytest.mark.parametrize("arguments", ["-4,0", "-4,0,1", "-4,0,2.5", "a,b,3", "", "-4,0,9,1", "-4,0,5000"])
def test_what_is_no_grid_is_refused(arguments: str) -> None:
    with pytest.raises(UserError, match=r"expected logspace\(FROM,TO,N\)"):
        expand_grids([f"optim.lr=logspace({arguments})"])


@pytest.mark.parametrize(
    "grid", ["logspace(-4,0,1000)", "linspace(0.999,1.001,9)", "linspace(1000,1010,21)", "logspace(-4,0,9)"]
)
def test_a_grid_has_as_many_values_as_were_asked_for(grid: str) -> None:
    (expanded,) = expand_grids([f"optim.lr={grid}"])
    values = expanded.partition("=")[2].split(",")
    count = int(grid.rstrip(")").split(",")[-1])
    assert len(values) == len({float(value) for value in values}) == count
    if count == 9 and "log" in grid:
        assert values[:3] == ["0.0001", "0.000316", "0.001"]
