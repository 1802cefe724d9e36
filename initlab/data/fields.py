"""From the text of a table's fields to numbers and words, and what of that a reader must be told."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from initlab.base.errors import UserError
from initlab.base.wording import typed_list

# What stands for a missing value in any column of inputs, beside an empty field.
MISSING: Final = frozenset(
    {"?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "NaN", "None", "n/a", "nan", "null"}
)
# Words that people write where they have no number, in small letters.
PLACEHOLDERS: Final = frozenset(
    {word.lower() for word in MISSING}
    | {"unknown", "unk", "tbd", "tba", "n/d", "nd", "n.d.", "n.a.", "missing", "not available", "no data", "nodata"}
    | {"-", "--", "---", "–", "—", ".", "..", "...", "*", "**", "#value!", "#div/0!", "#ref!", "#num!", "k.a."}
)
STRAY_SHARE: Final = 0.05  # other words than these among numbers are strays up to here, if the numbers are many
MANY_NUMBERS: Final = 20
LONGEST_NUMBER: Final = 15  # digits that a float64 keeps
CODE_DIGITS: Final = 4  # with a zero in front: 01067 is no number, and 07 may be a month
CODE_NAME = re.compile(r"(?i)zip|postal|post_?code|plz|code\b|(^|_)code")
UNITS_SEEN: Final = 100
LEAST_COUNTED: Final = 10  # of fewer rows numbers in a row may be a coincidence
SHOWN: Final = 3

CURRENCY: Final = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF|%)"
MARKS: Final = "'’ \u00a0\u202f"
PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
GROUPED = {
    ".": re.compile(rf"[-+]?[1-9]\d{{0,2}}([,{MARKS}])\d{{3}}(\1\d{{3}})*(\.\d*)?"),
    ",": re.compile(rf"[-+]?[1-9]\d{{0,2}}([.{MARKS}])\d{{3}}(\1\d{{3}})*(,\d*)?"),
}
COMMA = re.compile(r"[-+]?(\d+,?\d*|,\d+)([eE][-+]?\d+)?")


def number_of(text: str, decimal: str) -> float:
    """The number that a field shows, NaN where it shows none.

    Example:
        >>> number_of("1.234,5 €", ","), number_of("$1,234.5", "."), number_of("(3)", ".")
        (1234.5, 1234.5, -3.0)

    Args:
        text: The field, which may have thousands marks, a currency or a percent sign, or be in brackets if negative.
        decimal: What stands before the decimals, a point or a comma.
    """
    text = text.strip().replace("−", "-")
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1].strip()}"
    text = re.sub(rf"^([-+]?)\s*{CURRENCY}\s*|\s*{CURRENCY}$", r"\1", text)
    if GROUPED[decimal].fullmatch(text):
        text = re.sub(rf"[{'.' if decimal == ',' else ','}{MARKS}]", "", text)
    elif not (COMMA if decimal == "," else PLAIN).fullmatch(text):
        return np.nan
    return float(text.replace(",", "."))


def to_numbers(texts: Series, decimal: str) -> Series:
    """The numbers of a column of text, NaN where a field is missing or shows none; infinities stay."""
    plain: Series = pd.to_numeric(texts, errors="coerce").astype(float)
    if decimal == ",":  # 1.234 is 1234 there
        plain[texts.str.contains(".", regex=False, na=False) & ~np.isinf(plain)] = np.nan
    left = texts[plain.isna() & texts.notna()]
    known = {text: number_of(text, decimal) for text in left.unique()}
    plain[left.index] = left.map(known).astype(float)
    return plain


@dataclass(frozen=True)
class Column:
    """What a column of a table was found to be.

    Attributes:
        name: Of the column.
        numeric: Whether it holds numbers; else words.
        decimal: What stands before the decimals of its numbers.
        strays: Words among its numbers that are taken for missing values.
        remark: What was concluded that a reader may not expect; may be empty.
    """

    name: str
    numeric: bool
    decimal: str = "."
    strays: frozenset[str] = frozenset()
    remark: str = ""

    def strays_among(self, texts: Series) -> Series:
        """The words among some fields of the column that are taken for missing values.

        Args:
            texts: Fields with NaN where they are missing; of this or of another file with such a column.
        """
        if not self.numeric:
            return texts[texts.isin(MISSING)]
        return texts[texts.isin(self.strays) | texts.str.lower().isin(PLACEHOLDERS)]

    def parse(self, texts: Series, where: str) -> Series:
        """The column as numbers, or as words; NaN where a value is missing.

        Args:
            texts: Its fields, with NaN where they are missing; of this or of another file with such a column.
            where: The configuration key of that file, and its path.

        Raises:
            UserError: text among numbers, or a number that is infinite.
        """
        texts = texts.mask(texts.index.isin(self.strays_among(texts).index))
        if not self.numeric:
            return texts.astype(object)
        numbers = to_numbers(texts, self.decimal)
        bad = (numbers.isna() & texts.notna()) | np.isinf(numbers)
        if bad.any():
            place = int(bad.to_numpy().argmax())
            row, found = int(texts.index[place]) + 1, texts.iloc[place]
            raise UserError(f"{where}, row {row}, column {self.name}: {found!r} is no finite number")
        return numbers


def learn_columns(table: DataFrame, *, decimal: str | None, separator: str) -> dict[str, Column]:
    """See what the columns of a table hold: numbers, however they are written, or words.

    Args:
        table: Columns of text, NaN where a field is missing.
        decimal: What stands before decimals, a point or a comma; None: what the columns show.
        separator: What stands between fields; where that is a comma, `1,234` in quotes is a thousand.
    """
    shares = {str(name): _share_of_decimals(table[name]) for name in table}
    commas = any(share[","] > max(share["."], 0.5) for share in shares.values())
    points = any(share["."] > max(share[","], 0.5) for share in shares.values())
    learned = {}
    for name, share in shares.items():
        mark = decimal
        if mark is None and share["."] != share[","]:
            mark = max(share, key=lambda one: share[one])
        elif mark is None:
            has_comma = table[name].str.contains(",", regex=False, na=False).any()
            mark = "," if (commas and not points) or (has_comma and separator not in (",", "")) else "."
        elif share[mark] < 0.5 < max(share.values()):  # another than the table's, as 1.5 among decimal commas
            mark = max(share, key=lambda one: share[one])
        learned[name] = _learn(name, table[name], mark)
    return learned


def _share_of_decimals(texts: Series) -> dict[str, float]:
    """The share of a column's fields that are numbers, by what stands before the decimals."""
    present = texts.dropna()
    if not len(present):
        return {".": 0.0, ",": 0.0}
    plain = to_numbers(present, ".").notna().mean()
    marked = present.str.contains(r"[.,]", regex=True)
    if not marked.any():
        return {".": float(plain), ",": float(plain)}
    return {".": float(plain), ",": float(to_numbers(present, ",").notna().mean())}


def _learn(name: str, texts: Series, decimal: str) -> Column:
    """What one column holds, given what stands before its decimals."""
    known = texts.mask(texts.isin(MISSING)).dropna()
    numbers = to_numbers(known, decimal)
    words = known[numbers.isna()]
    if len(words) == len(known):
        return Column(name, len(known) == 0, remark=_remark_on_missing(name, texts))
    others = words[~words.str.lower().isin(PLACEHOLDERS)]
    many = numbers.nunique() > MANY_NUMBERS
    few = len(others) <= STRAY_SHARE * len(known)
    if len(words) < len(known) / 2 and (not len(others) or (many and few)):
        column = _column_of_numbers(name, known.drop(words.index), numbers.drop(words.index), decimal)
        if not column.numeric:
            return column
        column = replace(column, strays=frozenset(words.unique()))
        remarks = [column.remark, remark_on_strays(name, column.strays_among(texts))]
        return replace(column, remark=". ".join(filter(None, remarks)))
    if len(words) < len(known) / 2:
        said = f"{name}: {listed_words(words)} among numbers, so all are taken as words; data.missing=[…] names those"
        return Column(name, False, remark=f"{said} that stand for nothing")
    return Column(name, False, remark=_remark_on_missing(name, texts))


def _column_of_numbers(name: str, known: Series, numbers: Series, decimal: str) -> Column:
    """A column of numbers, unless they are codes: with zeros in front, or longer than a number can hold."""
    digits = known[known.str.fullmatch(r"\d+")]
    if len(digits) == len(known):
        if (digits.str.startswith("0") & (digits.str.len() >= CODE_DIGITS)).any():
            return Column(name, False, remark=f"{name}: codes with zeros in front, taken as words")
        if (digits.str.lstrip("0").str.len() > LONGEST_NUMBER).any():
            return Column(name, False, remark=f"{name}: numbers too long to be kept exactly, taken as words")
    remark = ""
    same_length = len(digits) == len(known) and digits.str.len().nunique() == 1
    if same_length and len(digits.iloc[0]) >= CODE_DIGITS and CODE_NAME.search(name):
        remark = f"{name}: codes, by its name, taken as numbers; {typed_list('data.ignore', [name])} leaves it out"
    written = known[pd.to_numeric(known, errors="coerce").isna()]
    if len(written) and decimal == "." and written.str.contains(",", regex=False).any():
        remark = f"{name}: commas taken as thousands marks, as in {written.iloc[0]}; data.decimal=',' for decimal ones"
    elif decimal == "," and known.str.contains(",", regex=False).any():
        remark = f"{name}: decimal commas"
    elif decimal == "," and known.str.contains(".", regex=False).any():
        remark = f"{name}: points taken as thousands marks; data.decimal=. for decimal ones"
    return Column(name, True, decimal, remark=remark if np.isfinite(numbers).all() else "")


def _remark_on_missing(name: str, texts: Series) -> str:
    """Of a column of words: which of them are taken for missing values, though they may be meant."""
    return remark_on_strays(name, texts[texts.isin(MISSING)])


def remark_on_strays(name: str, words: Series) -> str:
    """Which words of a column are taken for missing values, with their rows; empty if there are none.

    Args:
        name: Of the column.
        words: As `Column.strays_among` gives them.
    """
    return f"{name}: {listed_words(words)} taken as missing" if len(words) else ""


def remark_on_units(table: DataFrame) -> str:
    """That the first row is a second header line, as of units of measurement; empty if it is none.

    Args:
        table: All columns as text; an empty field is an empty text.
    """
    first, rest = table.iloc[:1], table.iloc[1 : UNITS_SEEN + 1]

    def numeric(fields: Series) -> bool:
        return max(_share_of_decimals(fields[fields != ""]).values()) > 1 / 2

    if any(first[name].iloc[0] and numeric(first[name]) for name in table):
        return ""
    words = [first[name].iloc[0] for name in table if first[name].iloc[0] and numeric(rest[name])]
    if sum(word.lower() not in PLACEHOLDERS for word in words) < 2:
        return ""
    return f"row 1 looks like units ({', '.join(words)}) and no sample: if so, delete its line"


def listed_words(words: Series) -> str:
    """Some words with the rows that they stand in: `'unknown' in row 7, 'tbd' in rows 9, 12`.

    Args:
        words: Text, whose index is the place in the file, from 0.
    """
    parts = []
    for word, places in list(words.groupby(words, sort=False).groups.items())[:SHOWN]:
        rows = [str(int(place) + 1) for place in places]
        shown = ", ".join(rows[:SHOWN]) + (f", … ({len(rows)} rows)" if len(rows) > SHOWN else "")
        parts.append(f"{str(word)!r} in row{'s' * (len(rows) > 1)} {shown}")
    more = words.nunique() - len(parts)
    return ", ".join(parts) + (f" and {more} more words" if more > 0 else "")


def counting_columns(table: DataFrame, unnamed: Collection[str]) -> list[str]:
    """Columns that tell nothing but a row's place: they count the rows, in this order or in another.

    Args:
        table: Columns of text, all rows of the file.
        unnamed: Columns without a name, of which an ascending number suffices, as in a table that lost some rows.
    """
    return [str(name) for name in table if _counts(table[name], loosely=name in unnamed or _names_rows(str(name)))]


def _names_rows(name: str) -> bool:
    """Whether a column's name says that it numbers rows."""
    return name.lower().strip("_ #") in ("", "id", "index", "row", "rowid", "row_id", "rownames", "nr", "no", "number")


def _counts(texts: Series, *, loosely: bool) -> bool:
    if len(texts) < LEAST_COUNTED or not texts.str.fullmatch(r"\d{1,15}").fillna(False).all():
        return False
    numbers = texts.astype("int64").to_numpy()
    ordered = np.sort(numbers)
    return bool((np.diff(ordered) == 1).all() or (loosely and (np.diff(numbers) > 0).all()))


def sentences(remarks: Sequence[str]) -> str:
    """Remarks in one line, those that are empty left out."""
    return " ".join(f"{remark}." for remark in dict.fromkeys(remarks) if remark)
