"""Where the work of a sweep runs: in processes of this machine or, through joblib, on a Ray or a Dask cluster."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, assert_never

import torch
from joblib import parallel_config

from initlab.base.errors import UserError, first_line
from initlab.base.machine import may_be_cuda, trains_on_cuda
from initlab.base.threads import usable_cores
from initlab.config.schema import Config

CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Backend:
    """What runs the work of a sweep, connected and ready.

    Attributes:
        name: As the key `backend` has it; joblib calls a cluster so, too.
        most_workers: How many workers it can have, at least 1.
        settings: What joblib is to tell it.
    """

    name: str
    most_workers: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def used_by_joblib(self, workers: int) -> AbstractContextManager[Any]:
        """A context in which joblib uses so many of a cluster's workers."""
        return parallel_config(self.name, n_jobs=workers, **self.settings)


@contextlib.contextmanager
def open_backend(config: Config) -> Iterator[Backend]:
    """Connect to the backend that is configured, or start it, within a `with` block.

    `loky` can have as many workers as there are cores, or GPUs where jobs train on GPUs, and so can `ray`; `dask` has
    those of its cluster.

    Raises:
        UserError: the backend is not installed, its cluster cannot be reached, or a Dask worker has several threads.
    """
    accelerator = config.trainer.accelerator
    match config.backend:
        case "loky":
            yield Backend("loky", torch.cuda.device_count() if trains_on_cuda(accelerator) else usable_cores())
        case "ray":
            with _connected_ray() as ray:
                there = ray.cluster_resources()
                gpus = int(there.get("GPU", 0)) if may_be_cuda(accelerator) else 0
                each = {"num_cpus": 1, "num_gpus": 1 if gpus else 0}
                yield Backend("ray", max(1, gpus or int(there.get("CPU", 1))), {"ray_remote_args": each})
        case "dask":
            with _connected_dask() as client:
                threads = list(client.nthreads().values())
                if any(count > 1 for count in threads):
                    raise UserError("backend=dask: a worker has several threads; start it with --nthreads 1")
                yield Backend("dask", max(1, len(threads)))
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
