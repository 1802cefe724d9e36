"""A launch of many operations; that it is one is seen on a GPU alone, as `test_gpu.py` does."""

from typing import Any

import pytest
import torch
from torch import Tensor

from initlab.cohort.launch import Launch


def test_where_nothing_can_be_recorded_operations_go_on_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each call counts once: what the function keeps is what it is without."""
    kept = torch.zeros(2)

    def add(given: Tensor) -> list[Tensor]:
        return [kept.add_(given).clone()]

    def refuse(_: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", refuse)
    launch = Launch()
    assert launch(add, torch.ones(2))[0].tolist() == [1, 1]
    with pytest.warns(UserWarning, match=r"no single launch .*not permitted"):
        assert launch(add, torch.full((2,), 2.0))[0].tolist() == [3, 3]
    assert launch(add, torch.full((2,), 3.0))[0].tolist() == [6, 6]
