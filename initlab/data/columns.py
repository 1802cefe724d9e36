"""What becomes of a table's columns: missing values are filled in and words become numbers."""

from pandas import DataFrame
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from initlab.base.errors import UserError
from initlab.data.assemble import Transform

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
    varied = [str(name) for name in rows if rows[name].nunique() > 1]
    if not varied:
        raise UserError("data=csv: no column tells the training rows apart")
    numbers = [name for name in varied if is_numeric_dtype(rows[name])]
    words = {name: rows[name].nunique() for name in varied if name not in numbers}
    if len(numbers) + sum(words.values()) > MOST_INPUTS:
        worst = max(words, key=lambda name: words[name])
        raise UserError(f"data=csv: column {worst} has {words[worst]:,} different words; leave it out by data.ignore")
    scale = StandardScaler() if standardize else "passthrough"
    fill_and_scale = make_pipeline(SimpleImputer(strategy="median"), scale)
    fill_and_encode = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    columns = ColumnTransformer([("numbers", fill_and_scale, numbers), ("words", fill_and_encode, list(words))])
    columns.fit(rows)
    transform: Transform = columns.transform
    return transform


def columns_of_names(rows: DataFrame) -> list[str]:
    """Columns of words in which most rows have a word of their own, as in names and free text.

    Args:
        rows: Columns of numbers and of words, with NaN where a value is missing.
    """
    words = [str(name) for name in rows if not is_numeric_dtype(rows[name])]
    return [name for name in words if rows[name].nunique() > max(FEW_WORDS, rows[name].count() / 2)]
