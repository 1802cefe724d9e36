"""The columns of every table, and the version that a stored table carries."""

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

SCHEMA_VERSION = 2

# What the column `metric` may hold, and how a reader sees it. More is better, and 1 is perfect.
METRICS: Mapping[str, str] = MappingProxyType({"accuracy": "accuracy", "r2": "R²"})

MEMBERS = pa.schema(
    [
        ("job", pa.string()),
        ("member", pa.int64()),
        ("seed", pa.int64()),
        ("data", pa.string()),
        ("model", pa.string()),
        ("init", pa.string()),
        ("activation", pa.string()),
        ("optim", pa.string()),
        ("lr", pa.float64()),
        ("metric", pa.string()),  # what the scores are: accuracy or r2
        ("status", pa.string()),  # finished, or diverged: its loss stopped being finite
        ("diverged_epoch", pa.int64()),  # null where it did not
        ("epochs", pa.int64()),
        ("train_loss", pa.float64()),  # mean over the last epoch's batches, each before its update
        ("val_loss", pa.float64()),
        ("val_score", pa.float64()),
        ("best_val_score", pa.float64()),
        ("test_loss", pa.float64()),
        ("test_score", pa.float64()),
        ("auc", pa.float64()),  # mean height of the validation-score curve from epoch 0 on, where it is above 0
        ("threshold", pa.float64()),  # a validation score
        ("epochs_to_threshold", pa.int64()),  # first epoch that reached it; null if none did
        ("seconds", pa.float64()),  # the cohort's training time, divided by its members
    ]
)

HISTORY = pa.schema(
    [
        ("job", pa.string()),
        ("member", pa.int64()),
        ("epoch", pa.int64()),  # 0 is before any training
        ("split", pa.string()),  # train or val
        ("metric", pa.string()),  # what the score is: accuracy or r2
        ("loss", pa.float64()),
        ("score", pa.float64()),
        ("gradient_norm", pa.float64()),  # of the epoch's last step, before clipping; null for val
    ]
)

TABLES: Mapping[str, pa.Schema] = MappingProxyType({"members": MEMBERS, "history": HISTORY})
