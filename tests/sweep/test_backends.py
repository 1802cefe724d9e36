"""Where the work of a sweep runs."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from initlab.base.errors import UserError
from initlab.base.machine import may_be_cuda, trains_on_cuda
from initlab.base.threads import usable_cores
from initlab.config.schema import Config
from initlab.sweep.backends import open_backend
from tests.helpers import QUICK, make_job, run
from tests.sweep.helpers import assert_same_tables, tables_of


def config_of(backend: Any) -> Config:
    """A configuration with a backend, which nothing has checked."""
    return replace(make_job("trainer.accelerator=cpu").config, backend=backend)


@pytest.mark.parametrize(("backend", "module"), [("ray", "ray.util.joblib"), ("dask", "distributed")])
def test_a_backend_of_which_a_part_is_missing_is_one_line(
    backend: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Ray is installed, and joblib's way to it is not."""
    pytest.importorskip(module.partition(".")[0])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"pip install 'initlab\[{backend}\]'"), open_backend(config_of(backend)):
        pass


def test_no_backend_is_taken_for_another() -> None:
    with pytest.raises(AssertionError, match="elsewhere"), open_backend(config_of("elsewhere")):
        pass


def test_this_machine_has_a_worker_a_core() -> None:
    with open_backend(config_of("loky")) as backend:
        assert backend.most_workers == usable_cores()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of their own
@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_cluster_that_starts_here_starts_once_in_a_command(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """To plan the sweep and to train it."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    module = pytest.importorskip({"ray": "ray", "dask": "distributed"}[backend])
    name, starts = {"ray": "init", "dask": "Client"}[backend], list[str]()
    start = getattr(module, name)

    def counted(*arguments: Any, **settings: Any) -> Any:
        starts.append(backend)
        return start(*arguments, **settings)

    monkeypatch.setattr(module, name, counted)
    assert run(f"-m init=he {QUICK} backend={backend}", monkeypatch, tmp_path) == 0
    assert starts == [backend]
    assert run(f"-m init=he {QUICK} n_jobs=1 name=here", monkeypatch, tmp_path) == 0
    outputs = tmp_path / "outputs"
    assert list(tables_of(outputs / "study")) == ["init=he"]
    assert_same_tables(outputs / "study", outputs / "here", rtol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of Dask's own
def test_a_dask_cluster_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 3, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        with open_backend(config_of("dask")) as backend:
            assert (backend.name, backend.most_workers) == ("dask", 3)
            assert len(cluster.scheduler.clients) == 2  # the cluster's own, and ours


@pytest.mark.parametrize(("accelerator", "expected"), [("auto", True), ("gpu", True), ("cuda", True), ("cpu", False)])
def test_a_gpu_is_trained_on_where_there_is_one_and_it_may_be(
    accelerator: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert may_be_cuda(accelerator) == expected
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert trains_on_cuda(accelerator) == (expected and there)
