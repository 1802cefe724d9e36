"""Handing the rows that initlab trains on to other libraries."""

from pathlib import Path

import numpy as np

from initlab.data.dataset import Dataset


def write_arrays(dataset: Dataset, path: Path) -> Path:
    """Write the rows to train and to test on as they are, split and standardized, and return where they are.

    Args:
        dataset: What the networks learn from.
        path: Of the file, ending in .npz; it gets arrays named train_inputs, train_targets, test_inputs, test_targets.
    """
    splits = {"train": dataset.train, "test": dataset.test}
    inputs = {f"{name}_inputs": split.inputs.numpy() for name, split in splits.items()}
    targets = {f"{name}_targets": split.targets.numpy() for name, split in splits.items()}
    np.savez(path, allow_pickle=False, **inputs, **targets)
    return path
