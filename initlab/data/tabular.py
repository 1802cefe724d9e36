"""Well-known tables: one row a sample, numbers in columns."""

import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from initlab.base.errors import UserError
from initlab.base.files import write_whole
from initlab.data.assemble import Arrays, assemble
from initlab.data.dataset import Dataset, data_directory

WINE_QUALITY_FILE = "winequality-red.csv"
WINE_QUALITY_URL = f"https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/{WINE_QUALITY_FILE}"
WINE_QUALITY_COLUMNS = (
    "fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free sulfur dioxide",
    "total sulfur dioxide", "density", "pH", "sulphates", "alcohol", "quality",
)  # fmt: skip
WINE_QUALITY_ROWS = 1599


def wine(
    *,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """scikit-learn's wine recognition data: 178 Italian wines, 13 measurements, 3 cultivars. Needs no file.

    Args:
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits, whatever the seeds of the networks.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether columns get mean 0 and variance 1, by the training rows.

    Raises:
        UserError: a fraction is out of range, or leaves a part without rows.
    """
    return assemble(
        load_wine(return_X_y=True),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def wine_quality(
    *,
    dir: str | None = None,
    download: bool = True,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """UCI red wines (Cortez et al. 2009): 1,599 wines, 11 measurements, 2 classes: good means a quality above 5.

    Args:
        dir: Folder that holds winequality-red.csv; None: `~/.cache/initlab`.
        download: Whether to fetch the file from UCI where it is missing.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits, whatever the seeds of the networks.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether columns get mean 0 and variance 1, by the training rows.

    Raises:
        UserError: the file is missing and cannot be fetched, or is not what it should be.
    """
    path = data_directory(dir) / WINE_QUALITY_FILE
    if not path.exists():
        _download(WINE_QUALITY_URL, path, allowed=download)
    return assemble(
        _read_wine_quality(path),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def _read_wine_quality(path: Path) -> Arrays:
    """Read UCI's file of the red wines.

    Args:
        path: The file, with fields separated by semicolons and a header line.

    Returns:
        Measurements, shape (1599, 11), float64, and labels, shape (1599,): 1 where the quality is above 5, else 0.

    Raises:
        UserError: the file is unreadable, lacks a column or rows, or has text among the numbers.
    """
    try:
        table = pd.read_csv(path, sep=";")
    except (OSError, ValueError) as error:
        raise UserError(f"data=wine_quality: cannot read {path}: {error}; replace the file") from error
    missing = [column for column in WINE_QUALITY_COLUMNS if column not in table]
    if missing:
        raise UserError(
            f"data=wine_quality: {path} lacks the column {', '.join(missing)} (fields are separated by ';'); "
            f"replace it by UCI's {WINE_QUALITY_FILE}"
        )
    table = table[list(WINE_QUALITY_COLUMNS)]
    numbers = table.apply(pd.to_numeric, errors="coerce")
    bad = np.argwhere(numbers.isna().to_numpy())
    if len(bad):
        row, column = bad[0]
        raise UserError(
            f"data=wine_quality: {path}, line {row + 2}, column {table.columns[column]}: "
            f"{table.iat[row, column]!r} is no number; replace the file"
        )
    if len(numbers) < WINE_QUALITY_ROWS:
        raise UserError(
            f"data=wine_quality: {path} has {len(numbers)} rows, expected {WINE_QUALITY_ROWS}; replace the file"
        )
    features = numbers.drop(columns="quality").to_numpy(np.float64)
    return features, (numbers["quality"] > 5).to_numpy(np.int64)


def _download(url: str, path: Path, *, allowed: bool) -> None:
    """Fetch a file under a temporary name and rename it, so that it is whole or absent.

    Args:
        url: Where the file is to be had.
        path: Where it goes; the folder is made where it is missing.
        allowed: Whether it may be fetched at all; else its absence is an error.

    Raises:
        UserError: the download is not allowed, or fails.
    """
    reason = "data.download=false"
    if allowed:
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                content = response.read()
            write_whole(path, lambda partial: partial.write_bytes(content))
            return
        except (urllib.error.URLError, OSError) as error:
            reason = f"the download failed: {error}"
    raise UserError(
        f"data=wine_quality: {path} is not there ({reason}); put {path.name} from {url} into that folder, point "
        "data.dir or INITLAB_DATA to one that has it, or use an embedded data set: data=wine or data=digits"
    )
