"""What the tests of sweeps share."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from initlab.cohort.module import CohortModule
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.tables.job_tables import JobTables, job_tables
from initlab.tables.records import EpochRecord
from initlab.tables.schema import SIGNAL
from initlab.tables.store import VERSION_KEY, read_table

FAILING = "model._target_=tests.sweep.failing.Failing"


def tables_of(study: Path) -> dict[str, list[pd.DataFrame]]:
    """Members, without their times, history, and signal where it was recorded, of each job of a study."""
    return {
        path.parent.name: [
            read_table(path.parent, "members").drop(columns="seconds"),
            *(
                read_table(path.parent, name)
                for name in ("history", "signal")
                if (path.parent / f"{name}.parquet").exists()
            ),
        ]
        for path in sorted(study.glob("*/members.parquet"))
    }


def assert_same_tables(study: Path, other: Path, *, rtol: float | None = None) -> None:
    """The jobs of two studies measured the same, to the bit unless a tolerance is given."""
    found, expected = tables_of(study), tables_of(other)
    assert list(found) == list(expected)
    for name, tables in expected.items():
        for one, another in zip(found[name], tables, strict=True):
            tolerance = {"check_exact": True} if rtol is None else {"rtol": rtol, "atol": rtol}
            pd.testing.assert_frame_equal(one, another, **tolerance)


def made_up_tables(*shares: Share, signal: bool = False) -> JobTables:
    """Tables of shares that nobody has trained: each member's numbers tell its seed."""
    parts = [_made_up(share, signal=signal).named() for share in shares]
    return JobTables(**{name: pd.concat([part[name] for part in parts], ignore_index=True) for name in parts[0]})


def _made_up(share: Share, *, signal: bool) -> JobTables:
    numbers = torch.tensor(list(share.seeds), dtype=torch.float64) / 100
    values = {"loss": numbers, "score": numbers}
    records = [
        EpochRecord(0, "val", values),
        EpochRecord(1, "train", values | {"gradient_norm": numbers}),
        EpochRecord(1, "val", values),
        EpochRecord(1, "test", values),
    ]
    places = [seed - share.job.config.seed for seed in share.seeds]
    known = {"member": places, "seed": list(share.seeds), "layer": "output", "pre_mean": numbers.numpy()}
    layers = pd.DataFrame({name: known.get(name) for name in SIGNAL.names if name != "job"}, index=range(len(places)))
    return job_tables(
        share.job.key_columns, list(share.seeds), records, first_seed=share.job.config.seed, metric="accuracy",
        threshold=0.5, seconds=1.0, signal=layers if signal else None,
    )  # fmt: skip


def whole(job: Job) -> Share:
    """All members of a job."""
    return Share(job, job.seeds)


def of_later_version(path: Path) -> None:
    """Make a table one that a later version of initlab has written."""
    pq.write_table(pq.read_table(path).replace_schema_metadata({VERSION_KEY: b"99"}), path)


def half(path: Path) -> None:
    """Damage a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def first_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """At which epoch each training from now on begins."""
    epochs: list[int] = []
    start = CohortModule.on_train_start

    def on_train_start(module: CohortModule) -> None:
        epochs.append(module.current_epoch)
        start(module)

    monkeypatch.setattr(CohortModule, "on_train_start", on_train_start)
    return epochs


def descendants(process: psutil.Process, word: str) -> list[psutil.Process]:
    """Processes that a process has started, or these have, and that have a word in their command line."""
    found = []
    for child in process.children(recursive=True):
        with suppress(psutil.Error):  # gone meanwhile
            if word in " ".join(child.cmdline()):
                found.append(child)
    return found


# Two cohorts, each of which waits in the middle of its training for `released`.
WAITING = f"-m {FAILING} +model.how=waits init=he batch_size=16,32 seeds=2 trainer.max_epochs=20 logger=none"


@contextmanager
def waiting_workers(find: Callable[[], list[psutil.Process]], study: Path) -> Iterator[list[psutil.Process]]:
    """Two workers that train `WAITING`, each in the middle of a cohort, of which it has left a checkpoint.

    They go on after the `with` block.

    Args:
        find: The workers that there are.
        study: Where they work.
    """
    deadline = time.monotonic() + 120
    try:
        while len(workers := find()) != 2 or len(list(study.glob(".cohorts/*/checkpoint.ckpt"))) != 2:
            if time.monotonic() > deadline:
                raise TimeoutError(study)
            time.sleep(0.02)
        assert not list(study.glob("*/members.parquet"))
        yield workers
    finally:
        (study.parents[1] / "go").touch()
