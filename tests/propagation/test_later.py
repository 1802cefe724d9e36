"""A number that is worked out together with those of other layers is the same as by itself."""

import pytest
import torch
from torch import Tensor

from initlab.propagation.later import Later, stack


def total(sizes: Tensor, times: int = 1) -> Tensor:
    return sizes.square().sum(1) * times


def test_each_layer_has_its_own_number_whatever_stands_beside_it() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = [torch.randn(size, generator=generator) for size in (5, 7, 5, 300, 7)]
    numbers: list[Tensor | Later] = [
        Later(total, (vectors[0],)),
        Later(total, (vectors[1],), (3,)),
        torch.tensor(2.5),
        Later(total, (vectors[2],)),
        Later(total, (vectors[3],)),
        Later(total, (vectors[4],)),
    ]
    found = stack(numbers)
    plain = [float((vector.double() ** 2).sum()) for vector in vectors]
    assert found.tolist() == pytest.approx([plain[0], 3 * plain[1], 2.5, plain[2], plain[3], plain[4]], rel=1e-6)
    assert [number.now() if isinstance(number, Later) else number for number in numbers] == found.tolist()


@pytest.mark.parametrize("others", [[], [torch.tensor(1.0, dtype=torch.float64)]])
def test_numbers_of_several_types_become_one_that_holds_them(others: list[Tensor]) -> None:
    found = stack([Later(total, (torch.ones(4),)), *others])
    assert found.dtype == (torch.float64 if others else torch.float32)
    assert found.tolist() == [4.0, *(1.0 for _ in others)]
