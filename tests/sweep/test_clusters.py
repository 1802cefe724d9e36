"""Sweeps on clusters, as far as one machine can be several."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import run
from tests.sweep.helpers import assert_same_tables, tables_of

COMMAND = "-m data=digits model.channels=[4,4] init=he,xavier seeds=2 trainer.max_epochs=20 checkpoint_seconds=0"


@pytest.fixture
def ray_cluster() -> Iterator[Any]:
    """A head and a second node, with a core each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_a_ray_cluster_of_two_nodes_of_which_one_loses_its_worker(
    ray_cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment = {**os.environ, "RAY_ADDRESS": ray_cluster.address}
    process = subprocess.Popen(
        [sys.executable, "-m", "initlab.train", *COMMAND.split(), "name=study", "backend=ray", "report=false"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    study = tmp_path / "outputs" / "study"
    while process.poll() is None and not list(study.glob(".cohorts/*/checkpoint.ckpt")):
        time.sleep(0.05)
    actors = [
        found for found in psutil.process_iter(["cmdline"]) if "PoolActor" in " ".join(found.info["cmdline"] or [])
    ]
    nodes = {actor.ppid() for actor in actors}
    assert len(nodes) == 2, process.communicate()
    actors[0].kill()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert len(tables_of(study)) == 2
    assert run(f"{COMMAND} name=here n_jobs=1", monkeypatch, tmp_path) == 0
    assert_same_tables(study, tmp_path / "outputs" / "here", rtol=1e-4)


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


@pytest.mark.slow
def test_a_dask_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        command = [
            sys.executable,
            "-m",
            "initlab.train",
            *COMMAND.split(),
            "name=study",
            "backend=dask",
            "report=false",
        ]
        environment = {**os.environ, "DASK_SCHEDULER_ADDRESS": cluster.scheduler_address}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(f"{COMMAND} name=here n_jobs=1", monkeypatch, tmp_path) == 0
    assert_same_tables(tmp_path / "outputs" / "study", tmp_path / "outputs" / "here", rtol=1e-4)


def test_submitit_runs_each_job_as_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What Slurm would run, here without Slurm; an unnamed sweep has one folder all the same."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    command = "-m init=he,xavier seeds=2 trainer.max_epochs=2 logger=none hydra/launcher=submitit_local"
    done = subprocess.run(
        [sys.executable, "-m", "initlab.train", *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (study,) = (tmp_path / "outputs").iterdir()
    assert (
        run(
            f"{command} name=here hydra/launcher=vectorized".replace(" hydra/launcher=submitit_local", ""),
            monkeypatch,
            tmp_path,
        )
        == 0
    )
    assert_same_tables(study, tmp_path / "outputs" / "here", rtol=1e-4)
