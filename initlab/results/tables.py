"""From what a cohort recorded to the tables of one job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """What one epoch measured on one split for the members of one job, shape (members,) each."""

    epoch: int
    split: str
    loss: FloatArray
    score: FloatArray
    gradient_norm: FloatArray | None


@dataclass(frozen=True)
class JobTables:
    """The tables of one job, with the columns of `schema.TABLES`."""

    members: pd.DataFrame
    history: pd.DataFrame


def job_tables(
    identity: Mapping[str, str | float],
    seeds: Sequence[int],
    records: Sequence[Record],
    *,
    metric: str,
    threshold: float,
    seconds: float,
) -> JobTables:
    """Build a job's tables.

    Args:
        identity: Columns that are the same for all its members: job, data, model, init, activation, optim, lr.
        seeds: One a member.
        records: In the order they were measured: val at epoch 0, then train and val of each epoch, then test.
        metric: What the scores are, a name of `schema.METRICS`.
        threshold: Validation score that counts as reached.
        seconds: Training time of a member.
    """
    history = pd.concat(
        [
            pd.DataFrame(
                {
                    "job": identity["job"],
                    "member": np.arange(len(seeds)),
                    "epoch": record.epoch,
                    "split": record.split,
                    "metric": metric,
                    "loss": record.loss,
                    "score": record.score,
                    "gradient_norm": np.nan if record.gradient_norm is None else record.gradient_norm,
                }
            )
            for record in records
            if record.split != "test"
        ],
        ignore_index=True,
    )
    of = {split: [r for r in records if r.split == split] for split in ("train", "val", "test")}
    val_score = np.stack([record.score for record in of["val"]])
    epochs = of["val"][-1].epoch
    diverged = first_epoch(~np.isfinite(np.stack([r.loss for r in records])), [r.epoch for r in records])
    columns = {
        **identity,
        "member": np.arange(len(seeds)),
        "seed": list(seeds),
        "metric": metric,
        "status": ["diverged" if epoch is not None else "finished" for epoch in diverged],
        "diverged_epoch": pd.array(diverged, dtype="Int64"),
        "epochs": epochs,
        "train_loss": of["train"][-1].loss,
        "val_loss": of["val"][-1].loss,
        "val_score": of["val"][-1].score,
        "best_val_score": np.fmax.reduce(val_score),
        "test_loss": of["test"][-1].loss,
        "test_score": of["test"][-1].score,
        "auc": area_under_curve(val_score, [record.epoch for record in of["val"]]),
        "threshold": threshold,
        "epochs_to_threshold": pd.array(
            first_epoch(val_score >= threshold, [record.epoch for record in of["val"]]), dtype="Int64"
        ),
        "seconds": seconds,
    }
    return JobTables(pd.DataFrame(columns), history)


def first_epoch(happened: NDArray[np.bool_], epochs: Sequence[int]) -> list[int | None]:
    """The first epoch at which something happened to each member, or None.

    Args:
        happened: Shape (measurements, members).
        epochs: Of each measurement.
    """
    first = np.asarray(happened.argmax(0))
    return [epochs[first[member]] if happened[:, member].any() else None for member in range(happened.shape[1])]


def area_under_curve(scores: FloatArray, epochs: Sequence[int]) -> FloatArray:
    """Mean height of each member's score curve, by the trapezoidal rule; NaN if it has diverged.

    A score below 0 counts as 0: the R² of an untrained network may be anything.

    Args:
        scores: Shape (measurements, members).
        epochs: Of each measurement, ascending.
    """
    return np.asarray(np.trapezoid(np.maximum(scores, 0), epochs, axis=0) / (epochs[-1] - epochs[0]))
