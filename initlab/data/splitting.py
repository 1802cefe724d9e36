"""Splitting the rows of a table by what they belong to, or by time, where shuffling them would tell the answers."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas import DataFrame, Series

from initlab.base.errors import UserError
from initlab.base.randomness import stream
from initlab.data.assemble import Splitter
from initlab.data.grouping import EqualGroups


def by_group(groups: Series, seed: int) -> Splitter:
    """A splitter that never has rows of one group, a patient's or a song's, on both sides.

    Groups are shuffled, and split off until they hold the share of the rows that is asked for.

    Args:
        groups: The group of each row, by the index of the rows.
        seed: Of the shuffling.
    """

    def split(inputs: Any, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        codes, names = pd.factorize(groups.loc[inputs.index], sort=True)
        order = torch.randperm(len(names), generator=stream(seed, "groups of rows")).numpy()
        rows = np.bincount(codes, minlength=len(names))[order]
        taken = order[: max(1, int(np.searchsorted(rows.cumsum(), fraction * len(codes), side="right")))]
        away = np.isin(codes, taken)
        return np.flatnonzero(~away), np.flatnonzero(away)

    return split


def by_group_anew(groups: Series, rows: DataFrame, test_fraction: float, val_fraction: float) -> EqualGroups | None:
    """How the same rows are split by their groups for any seed, with as many rows on each side; None if they cannot be.

    Args:
        groups: The group of each row, by the index of the rows.
        rows: The rows that are split, of whose index it is asked.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1).
    """
    codes, _ = pd.factorize(groups.loc[rows.index], sort=True)
    return EqualGroups.of(codes, test_fraction, val_fraction)


def by_order(moments: Series) -> Splitter:
    """A splitter that splits the last rows off, as what is to come lies after what is known.

    Args:
        moments: A number of each row to order by, by the index of the rows; equal ones stay in the file's order.
    """

    def split(inputs: Any, fraction: float) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(moments.loc[inputs.index].to_numpy(), kind="stable")
        kept = len(order) - round(fraction * len(order))
        return order[:kept], order[kept:]

    return split


def moments_of(texts: Series, where: str) -> Series:
    """What a column of numbers or dates orders rows by.

    Args:
        texts: The fields of the column.
        where: The configuration key of the file, and its path.

    Raises:
        UserError: a field that is neither, or is missing.
    """
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().all():
        return numbers.astype(float)
    dates = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
    if dates.notna().all():
        return dates.astype("int64")
    bad = (numbers if numbers.notna().sum() > dates.notna().sum() else dates).isna().to_numpy()
    place = int(bad.argmax())
    raise UserError(
        f"{where}, row {int(texts.index[place]) + 1}: data.order={texts.name}: {texts.iloc[place]!r} is neither a "
        "number nor a date such as 2024-12-31"
    )
