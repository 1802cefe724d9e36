"""Where joblib runs the work of a sweep: processes of this machine, a Ray cluster, a Dask cluster."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any, assert_never

import torch
from joblib import parallel_config

from initlab.base.errors import UserError, first_line
from initlab.base.machine import may_be_cuda, trains_on_cuda
from initlab.base.threads import cores_of_process, usable_cores
from initlab.config.schema import Config

CONNECT_SECONDS = 10


@contextlib.contextmanager
def open_backend(config: Config, workers: int) -> Iterator[None]:
    """Make joblib use the backend that is configured, with so many workers, within a `with` block.

    Raises:
        UserError: the backend is not installed, or its cluster cannot be reached.
    """
    match config.backend:
        case "loky":
            with parallel_config("loky", n_jobs=workers, inner_max_num_threads=cores_of_process(workers)):
                yield
        case "ray":
            with _connected_ray() as ray:
                each = {"num_cpus": 1, "num_gpus": 1 if _ray_gpus(ray, config) else 0}
                with parallel_config("ray", n_jobs=workers, ray_remote_args=each):
                    yield
        case "dask":
            with _connected_dask(), parallel_config("dask", n_jobs=workers):
                yield
        case other:
            assert_never(other)


@contextlib.contextmanager
def _connected_ray() -> Iterator[Any]:
    """Ray, known to joblib, and connected to the cluster that RAY_ADDRESS names or that runs here, else to a new one.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address.
    """
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise UserError("backend=ray: Ray is not installed; pip install 'initlab[ray]'") from error
    register_ray()
    logging.getLogger("ray").setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        address = os.environ.get("RAY_ADDRESS", "")
        try:
            host, _, port = address.rpartition("://")[2].partition(":")
            if port:  # Ray itself would try for minutes
                socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
            ray.init(logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"backend=ray: no cluster at RAY_ADDRESS={address}: {first_line(error)}") from error
    try:
        yield ray
    finally:
        if ours:
            ray.shutdown()


@contextlib.contextmanager
def _connected_dask() -> Iterator[Any]:
    """A client of the Dask cluster that DASK_SCHEDULER_ADDRESS names, else of a new one on this machine.

    Raises:
        UserError: Dask is not installed, or there is no cluster at that address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("backend=dask: Dask is not installed; pip install 'initlab[dask]'") from error
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    try:
        client = Client(address) if address else Client(n_workers=usable_cores(), threads_per_worker=1)
    except OSError as error:
        raise UserError(f"backend=dask: no cluster at DASK_SCHEDULER_ADDRESS={address}: {first_line(error)}") from error
    with client:
        yield client


def workers_of(config: Config) -> int:
    """How many workers a backend can have at most, at least 1.

    Of `loky` and `ray` as many as there are cores, or GPUs where jobs train on GPUs; of `dask` the workers that its
    cluster has.

    Raises:
        UserError: the backend is not installed, its cluster cannot be reached, or a Dask worker has several threads.
    """
    accelerator = config.trainer.accelerator
    match config.backend:
        case "loky":
            return torch.cuda.device_count() if trains_on_cuda(accelerator) else usable_cores()
        case "ray":
            with _connected_ray() as ray:
                return max(1, _ray_gpus(ray, config) or int(ray.cluster_resources().get("CPU", 1)))
        case "dask":
            with _connected_dask() as client:
                threads = list(client.nthreads().values())
            if any(count > 1 for count in threads):
                raise UserError("backend=dask: a worker has several threads; start it with --nthreads 1")
            return max(1, len(threads))
        case other:
            assert_never(other)


def _ray_gpus(ray: Any, config: Config) -> int:
    """GPUs of a Ray cluster, if they are to be trained on."""
    return int(ray.cluster_resources().get("GPU", 0)) if may_be_cuda(config.trainer.accelerator) else 0
