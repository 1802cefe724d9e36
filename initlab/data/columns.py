"""What becomes of a table's columns: missing values are filled in and words become numbers."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from pandas import DataFrame
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from initlab.base.errors import UserError
from initlab.data.assemble import Lookup, Transform, fit_moments

MOST_INPUTS = 10_000
FEW_WORDS = 20


def fit_columns(rows: DataFrame, *, standardize: bool) -> Transform:
    """Learn from training rows how to turn any rows of the same columns into numbers.

    A missing number becomes its column's median, a missing word its column's most frequent one. A column of words
    becomes one column of 0 and 1 for each of its words; a word that these rows do not have is 0 in all of them. Columns
    that are the same or missing in all these rows are left out.

    Args:
        rows: Columns of numbers and of words, with NaN where a value is missing.
        standardize: Whether columns of numbers get mean 0 and variance 1 over these rows; those made of words stay 0
            and 1.

    Returns:
        A function from rows to an array, shape (rows, inputs): first the columns of numbers, then those made of words.

    Raises:
        UserError: no column is left, or there are so many words that there would be more than 10,000 inputs.
    """
    numbers, words = _varied(rows)
    scale = StandardScaler() if standardize else "passthrough"
    fill_and_scale = make_pipeline(SimpleImputer(strategy="median"), scale)
    fill_and_encode = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    columns = ColumnTransformer([("numbers", fill_and_scale, numbers), ("words", fill_and_encode, list(words))])
    columns.fit(rows)
    transform: Transform = columns.transform
    return transform


def _varied(rows: DataFrame) -> tuple[list[str], dict[str, int]]:
    """The columns of numbers that differ among some rows, and those of words, each with how many words it has.

    Raises:
        UserError: as `fit_columns` says.
    """
    varied = [str(name) for name in rows if rows[name].nunique() > 1]
    if not varied:
        raise UserError("data=csv: no column tells the training rows apart")
    numbers = [name for name in varied if is_numeric_dtype(rows[name])]
    words = {name: rows[name].nunique() for name in varied if name not in numbers}
    if len(numbers) + sum(words.values()) > MOST_INPUTS:
        worst = max(words, key=lambda name: words[name])
        raise UserError(f"data=csv: column {worst} has {words[worst]:,} different words; leave it out by data.ignore")
    return numbers, words


def fit_columns_anew(rows: DataFrame, *, standardize: bool) -> Callable[[np.ndarray], Lookup]:
    """Prepare to learn, from one part of these rows after another, how to turn them into numbers.

    What is learned from a part is what `fit_columns` would learn, in far less time. But which inputs there are is found
    on all rows, so that it does not depend on the part: where `fit_columns` would leave out a column, or a word would
    have no column, the inputs are 0 here.

    Args:
        rows: All rows: columns of numbers and of words, with NaN where a value is missing.
        standardize: Whether columns of numbers get mean 0 and variance 1 over the rows that are learned from.

    Returns:
        A function from the places of the rows to learn from to one from places to an array, shape (places, inputs).

    Raises:
        UserError: as `fit_columns` does.
    """
    numbers, words = _varied(rows)
    values = rows[numbers].to_numpy(np.float64)
    codes = [pd.factorize(rows[name], sort=True)[0] for name in words]  # -1 where a word is missing
    return partial(_learn, values, codes, list(words.values()), standardize)


def _learn(
    values: np.ndarray, codes: list[np.ndarray], words: list[int], standardize: bool, training: np.ndarray
) -> Lookup:
    """Learn medians, moments and words from the rows at some places.

    Args:
        values: The columns of numbers, shape (rows, columns), NaN where one is missing.
        codes: Of each column of words the place of each row's word among its words, -1 where it is missing.
        words: How many words each of these has.
        standardize: Whether numbers get mean 0 and variance 1.
        training: Places of the rows to learn from.
    """
    known = values[training]
    missing = np.isnan(known)
    unknown = missing.all(0)  # no number to learn from: the column is 0
    median = np.nanmedian(np.where(unknown, 0.0, known), axis=0) if missing.any() else np.zeros(values.shape[1])
    known = np.where(missing, median, known)
    constant = known.min(0) == known.max(0)
    scale = fit_moments(known) if standardize and values.shape[1] else np.asarray
    tables = [_encoding(code[training], count) for code, count in zip(codes, words, strict=True)]

    def lookup(places: np.ndarray) -> np.ndarray:
        found = values[places]
        scaled = scale(np.where(np.isnan(found), median, found))
        parts = [np.where(constant, 0.0, scaled)]
        parts += [table[code[places]] for table, code in zip(tables, codes, strict=True)]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    return lookup


def _encoding(codes: np.ndarray, words: int) -> np.ndarray:
    """For each word of a column a row of 0 and 1; the last row is for a missing word, as which the commonest counts.

    Args:
        codes: The words of the rows to learn from, -1 where one is missing.
        words: How many the column has.
    """
    counts = np.bincount(codes[codes >= 0], minlength=words)
    table = np.zeros((words + 1, words), np.float32)
    if (counts > 0).sum() > 1:  # else the column is the same in all of these rows
        table[np.arange(words), np.arange(words)] = counts > 0
        table[-1] = table[counts.argmax()]
    return table


def columns_of_names(rows: DataFrame) -> list[str]:
    """Columns of words in which most rows have a word of their own, as in names and free text.

    Args:
        rows: Columns of numbers and of words, with NaN where a value is missing.
    """
    words = [str(name) for name in rows if not is_numeric_dtype(rows[name])]
    return [name for name in words if rows[name].nunique() > max(FEW_WORDS, rows[name].count() / 2)]
