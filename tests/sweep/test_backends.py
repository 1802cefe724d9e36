"""Where the work of a sweep runs."""

import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

from initlab.base.errors import UserError
from initlab.base.machine import may_be_cuda, trains_on_cuda
from initlab.config.schema import Config
from initlab.sweep.backends import open_backend, workers_of
from tests.helpers import make_job


def config_of(backend: Any) -> Config:
    """A configuration with a backend, which nothing has checked."""
    return replace(make_job().config, backend=backend)


@pytest.mark.parametrize(("backend", "module"), [("ray", "ray.util.joblib"), ("dask", "distributed")])
def test_a_backend_of_which_a_part_is_missing_is_one_line(
    backend: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Ray is installed, and joblib's way to it is not."""
    pytest.importorskip(module.partition(".")[0])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"pip install 'initlab\[{backend}\]'"):
        workers_of(config_of(backend))
    with pytest.raises(UserError, match=rf"pip install 'initlab\[{backend}\]'"), open_backend(config_of(backend), 1):
        pass


def test_no_backend_is_taken_for_another() -> None:
    with pytest.raises(AssertionError, match="elsewhere"):
        workers_of(config_of("elsewhere"))
    with pytest.raises(AssertionError, match="elsewhere"), open_backend(config_of("elsewhere"), 1):
        pass


@pytest.mark.parametrize(("accelerator", "expected"), [("auto", True), ("gpu", True), ("cuda", True), ("cpu", False)])
def test_a_gpu_is_trained_on_where_there_is_one_and_it_may_be(
    accelerator: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert may_be_cuda(accelerator) == expected
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert trains_on_cuda(accelerator) == (expected and there)
