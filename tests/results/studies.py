"""Studies made of given scores, in memory or as files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from initlab.results.crossed import UNKNOWN, RowScores
from initlab.results.differences import differing_keys, flat_config
from initlab.results.study import Study
from initlab.tables.schema import HISTORY, MEMBERS
from initlab.tables.store import write_table

Scores = Sequence[float] | NDArray[np.float64]

DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {"name": "wine"},
    "model": {"name": "mlp"},
    "optim": {"name": "sgd", "lr": 0.1},
    "activation": {"name": "relu"},
    "init": {"name": "he"},
}


@dataclass(frozen=True)
class Cell:
    """One job.

    Attributes:
        changes: Dotted keys of its configuration that differ from `DEFAULTS`.
        scores: Test score of each seed; NaN: it diverged.
        val: Validation score of each seed; None: the test scores.
        curve: Validation scores over epochs that all its members share; None: from 0 to each one's own.
        metric: Of the scores.
        first_seed: The seeds count from here.
        checksum: Of its data.
        by_row: What its members scored by row, so that the means are `scores`; None: that was not kept.
    """

    changes: Mapping[str, Any]
    scores: Scores
    val: Scores | None = None
    curve: Sequence[float] | None = None
    metric: str = "accuracy"
    first_seed: int = 0
    checksum: str = "abcdef123456"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    by_row: RowScores | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return ",".join(f"{key.removesuffix('.name')}={value}" for key, value in self.changes.items()) or "defaults"

    @property
    def config(self) -> dict[str, Any]:
        """Resolved."""
        config: dict[str, Any] = {group: dict(values) for group, values in DEFAULTS.items()}
        for key, value in self.changes.items():
            group, _, inner = key.partition(".")
            if inner:
                config.setdefault(group, {})[inner] = value
            else:
                config[group] = value
        return config

    @property
    def members(self) -> pd.DataFrame:
        """Its members table."""
        config, test = self.config, np.asarray(self.scores, np.float64)
        val = test if self.val is None else np.asarray(self.val, np.float64)
        lost = np.isnan(test)
        reached = [2 if score >= 0.9 else None for score in np.nan_to_num(val)]
        table = pd.DataFrame(
            {
                "job": self.name,
                "member": np.arange(len(test)),
                "seed": self.first_seed + np.arange(len(test)),
                **{group: config[group]["name"] for group in ("data", "model", "init", "activation", "optim")},
                "lr": config["optim"]["lr"],
                "metric": self.metric,
                "status": np.where(lost, "diverged", "finished"),
                "diverged_epoch": pd.array([1 if gone else None for gone in lost], dtype="Int64"),
                "epochs": 3,
                "train_loss": 1 - test,
                "val_loss": 1 - val,
                "val_score": val,
                "best_val_score": val,
                "test_loss": 1 - test,
                "test_score": test,
                "auc": val / 2,
                "threshold": 0.9,
                "epochs_to_threshold": pd.array(reached, dtype="Int64"),
                "seconds": 0.1,
                "engine": "vmap",
            }
        )
        assert list(table.columns) == MEMBERS.names
        return table

    @property
    def history(self) -> pd.DataFrame:
        """Its history table."""
        members, rows = self.members, []
        for member, last in zip(members["member"], members["val_score"], strict=True):
            curve = np.linspace(0, 1, 4) * last if self.curve is None else self.curve
            for split in ("train", "val"):
                rows.append(
                    pd.DataFrame(
                        {
                            "job": self.name, "member": member, "epoch": range(len(curve)), "split": split,
                            "metric": self.metric, "loss": 1 - np.asarray(curve), "score": curve, "gradient_norm": 1.0,
                        }
                    )
                )  # fmt: skip
        table = pd.concat(rows, ignore_index=True)
        assert list(table.columns) == HISTORY.names
        return table

    @property
    def described(self) -> dict[str, Any]:
        """Its metadata."""
        return {
            "command": "train.py -m", "device": "cpu", "commit": "0123456789ab", "versions": {"torch": "2.0"},
            "data_checksum": self.checksum, "fingerprint": f"{self.name} {self.checksum} {list(self.scores)}",
            "validates_on_test": False, "status": "finished", **self.metadata,
        }  # fmt: skip


@dataclass(frozen=True)
class StudyByRow(Study):
    """A study in memory, whose results by row are no files.

    Attributes:
        by_row: By job, what its members scored by row.
    """

    by_row: Mapping[str, RowScores] = field(default_factory=dict)

    def row_scores(self, job: str) -> RowScores | None:
        """What the members of a job scored by test row; None where that was not kept."""
        return self.by_row.get(job)


def cell_by_row(
    changes: Mapping[str, Any],
    scores: NDArray[np.floating[Any]],
    *,
    rows: NDArray[np.int64] | None = None,
    lost: Sequence[int] = (),
    metric: str = "accuracy",
    first_seed: int = 0,
    trained_on: int = 1_000,
) -> Cell:
    """One job with results by row.

    Args:
        changes: Dotted keys of its configuration that differ from `DEFAULTS`.
        scores: Of each member on each of its test rows.
        rows: Which these are; None: all the same.
        lost: Places of the members that diverged.
        metric: Of the scores.
        first_seed: The seeds count from here.
        trained_on: How many rows each member was trained on.
    """
    kept = np.array(scores, dtype=np.float64)
    kept[list(lost)] = 0.0
    places = None if rows is None else np.array(rows)
    if places is not None:
        places[list(lost)] = UNKNOWN
    of_members = kept.mean(1)
    of_members[list(lost)] = np.nan
    known = RowScores(first_seed + np.arange(len(kept)), kept, places, trained_on)
    return Cell(changes, of_members, metric=metric, first_seed=first_seed, by_row=known)


def study_of(*cells: Cell) -> Study:
    """The study that these jobs make."""
    configs = {cell.name: flat_config(cell.config) for cell in cells}
    assert len(configs) == len(cells), "two jobs of one name"
    return StudyByRow(
        members=pd.concat([cell.members for cell in cells], ignore_index=True),
        history=pd.concat([cell.history for cell in cells], ignore_index=True),
        differing=differing_keys(configs),
        configs=configs,
        metadata={cell.name: cell.described for cell in cells},
        by_row={cell.name: cell.by_row for cell in cells if cell.by_row is not None},
    )


def inits(**scores: Scores) -> Study:
    """A study of some initializers on one data set."""
    return study_of(*(Cell({"init.name": name}, values) for name, values in scores.items()))


def write_study(folder: Path, *cells: Cell) -> Path:
    """Write jobs as a sweep would."""
    for cell in cells:
        job = folder / cell.name
        job.mkdir(parents=True)
        (job / "config.yaml").write_text(yaml.safe_dump(cell.config))
        (job / "metadata.json").write_text(json.dumps(cell.described))
        write_table(job, "history", cell.history)
        write_table(job, "members", cell.members)
    return folder
