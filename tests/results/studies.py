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
    """

    changes: Mapping[str, Any]
    scores: Scores
    val: Scores | None = None
    curve: Sequence[float] | None = None
    metric: str = "accuracy"
    first_seed: int = 0
    checksum: str = "abcdef123456"
    metadata: Mapping[str, Any] = field(default_factory=dict)

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


def study_of(*cells: Cell) -> Study:
    """The study that these jobs make."""
    configs = {cell.name: flat_config(cell.config) for cell in cells}
    assert len(configs) == len(cells), "two jobs of one name"
    return Study(
        members=pd.concat([cell.members for cell in cells], ignore_index=True),
        history=pd.concat([cell.history for cell in cells], ignore_index=True),
        differing=differing_keys(configs),
        configs=configs,
        metadata={cell.name: cell.described for cell in cells},
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
