"""Sweeps on clusters, as far as one machine can be several."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import run
from tests.sweep.helpers import WAITING, assert_same_tables, descendants, tables_of, waiting_workers

COMMAND = (
    "-m data=digits model.channels=[4,4] init=he optim.lr=0.01,0.003 seeds=2 trainer.max_epochs=8 checkpoint_seconds=0"
    " logger=none"
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as one process of this machine trains it."""
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        assert run(f"{COMMAND} name=study n_jobs=1", patch, folder) == 0
    return folder / "outputs" / "study"


@pytest.fixture
def ray_cluster() -> Iterator[Any]:
    """A head and a second node, with a core each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_a_ray_cluster_of_two_nodes_of_which_one_loses_its_worker(
    ray_cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    study, killed = tmp_path / "outputs" / "study", list[int]()

    def actors() -> list[psutil.Process]:
        return descendants(psutil.Process(), "PoolActor")

    def kill() -> None:
        with waiting_workers(actors, study) as workers:
            assert len({worker.ppid() for worker in workers}) == 2  # a node each
            workers[0].kill()
            killed.append(workers[0].pid)

    killer = threading.Thread(target=kill)
    killer.start()
    command = f"{WAITING} checkpoint_seconds=0"
    assert run(f"{command} name=study backend=ray", monkeypatch, tmp_path) == 0
    killer.join()
    assert len(killed) == 1
    assert len(tables_of(study)) == 2
    assert run(f"{command} name=undisturbed n_jobs=1", monkeypatch, tmp_path) == 0
    assert_same_tables(study, tmp_path / "outputs" / "undisturbed", rtol=1e-4)


def test_a_ray_cluster_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert run(f"{COMMAND} name=study backend=ray n_jobs=2", monkeypatch, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("initlab: backend=ray: no cluster at RAY_ADDRESS=127.0.0.1:1")


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_backend_that_is_not_installed(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("ray", "ray.util.joblib", "distributed"):
        monkeypatch.setitem(sys.modules, module, None)
    assert run(f"{COMMAND} name=study backend={backend}", monkeypatch, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"pip install 'initlab[{backend}]'")


@pytest.mark.slow  # beside the one that a command starts, in test_backends.py
@pytest.mark.filterwarnings("ignore")  # of Dask's own
def test_a_dask_cluster(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        assert run(f"{COMMAND} name=study backend=dask", monkeypatch, tmp_path) == 0
    assert_same_tables(tmp_path / "outputs" / "study", here, rtol=1e-4)


@pytest.mark.slow  # beside hydra/launcher=basic in tests/cli/test_run_train.py
def test_submitit_runs_each_job_as_a_process_of_its_own(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What Slurm would run, here without Slurm; an unnamed sweep has one folder all the same."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    assert run(f"{COMMAND} hydra/launcher=submitit_local", monkeypatch, tmp_path) == 0
    (study,) = (tmp_path / "outputs").iterdir()
    assert_same_tables(study, here, rtol=1e-4)
    assert len(list(tmp_path.rglob("*_log.out"))) == 2  # a process each
