"""Well-known tables: one row a sample, numbers in columns."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from initlab.base.errors import UserError
from initlab.data.assemble import Arrays, assemble
from initlab.data.dataset import Dataset, data_directory

WINE_QUALITY_FILE = "winequality-red.csv"
WINE_QUALITY_PACKED = Path(__file__).parent / "files" / WINE_QUALITY_FILE  # ATTRIBUTION.md beside it says whose it is
WINE_QUALITY_COLUMNS = (
    "fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides", "free sulfur dioxide",
    "total sulfur dioxide", "density", "pH", "sulphates", "alcohol", "quality",
)  # fmt: skip
WINE_QUALITY_ROWS = 1599
GRADES = {"good": 6, "bad": 5}  # of the variant, as qualities on either side of the border


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
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
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
    download: bool = True,  # noqa: ARG001
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """UCI red wines (Cortez et al. 2009): 1,599 wines, 11 measurements, 2 classes: good means a quality above 5.

    The file is packed with initlab. One in the folder goes before it: UCI's own, or the variant in which commas
    separate fields and the quality is a word, good or bad.

    Args:
        dir: Folder that may hold winequality-red.csv; None: `~/.cache/initlab`.
        download: Without effect, as nothing need be fetched any more.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether columns get mean 0 and variance 1, by the training rows.

    Raises:
        UserError: the file in the folder is not what it should be.
    """
    path = data_directory(dir) / WINE_QUALITY_FILE
    if not path.exists():
        path = WINE_QUALITY_PACKED
    return assemble(
        _read_wine_quality(path),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def _read_wine_quality(path: Path) -> Arrays:
    """Read UCI's file of the red wines, or its variant with commas, in which the quality may be good or bad.

    Args:
        path: The file, with fields separated by semicolons or commas and a header line.

    Returns:
        Measurements, shape (1599, 11), float64, and labels, shape (1599,): 1 where the quality is above 5, else 0.

    Raises:
        UserError: the file is unreadable, lacks a column or rows, or has text among the numbers.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            header = lines.readline()
        table = pd.read_csv(path, sep=";" if ";" in header else ",")
    except (OSError, ValueError) as error:
        raise UserError(f"data=wine_quality: cannot read {path}: {error}; replace the file") from error
    missing = [column for column in WINE_QUALITY_COLUMNS if column not in table]
    if missing:
        raise UserError(
            f"data=wine_quality: {path} lacks the column {', '.join(missing)} (fields are separated by ; or ,); "
            f"replace it by UCI's {WINE_QUALITY_FILE}"
        )
    table = table[list(WINE_QUALITY_COLUMNS)]
    if table["quality"].isin(GRADES).all():
        table = table.assign(quality=table["quality"].map(GRADES))
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
