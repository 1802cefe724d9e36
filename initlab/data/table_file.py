"""Reading a table from a file as text, field for field as it stands there, and refusing what is no table."""

import bz2
import codecs
import csv
import gzip
import lzma
import re
from collections.abc import Callable, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pandas import DataFrame

from initlab.base.errors import UserError, first_line

SEPARATORS: Final = ",;\t|"
LINES_SEEN: Final = 50  # from which a separator is concluded
BYTE_ORDER_MARKS: Final = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
PACKED: Final[dict[str, Callable[..., Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
PARQUET, EXCEL = (".parquet", ".pq"), (".xlsx", ".xlsm", ".xls", ".ods")
UNNAMED: Final = "column {}"
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


def read_text(
    where: str, path: str, *, separator: str | None, header: bool, encoding: str | None
) -> tuple[DataFrame, str]:
    """The fields of a file as text, without the spaces around them; an empty field is an empty text.

    Nothing is repaired in silence, as readers of tables do: a name that stands twice in the header line, a row that is
    too short or too long, or a quote that does not end is refused.

    Args:
        where: The configuration key of the file, and its path, for messages.
        path: The file: text, packed text (.gz, .bz2, .xz), Parquet or Excel, as its name ends.
        separator: One character, the word tab, or None to see from the lines.
        header: Whether the first line names the columns; else they are called 1, 2, …
        encoding: Of a text; None: by the mark at its beginning, else UTF-8.

    Returns:
        One column a name, one row a line; and the separator, empty where the file has none. A column without a name is
        called after its place, `column 1`.

    Raises:
        UserError: the file is not there, or is no table.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{where}: there is no such file (seen from {Path.cwd()})")
    separator = {"tab": "\t", "\\t": "\t"}.get(separator or "", separator)
    if separator is not None and len(separator) != 1:
        raise UserError(f"data.separator={separator}: expected one character, tab, or null to see for itself")
    if file.suffix.lower() in PARQUET + EXCEL:
        names, rows = _read_binary(where, file, header=header)
        separator = ""
    else:
        lines, written = _lines(where, file, encoding)
        separator, lines = _separator(separator, lines, header=header)
        names, rows = _split_lines(f"{where}: no table in {written}", lines, separator, header=header)
    names = [name or UNNAMED.format(place) for place, name in enumerate(names, start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        places = " and ".join(str(place) for place, name in enumerate(names, start=1) if name == twice)
        numbers = sum(bool(NUMBER.fullmatch(name)) for name in names)
        hint = ", or set data.header=false if the first line names no columns" * (2 * numbers > len(names))
        raise UserError(f"{where}: the header line names {twice} twice (columns {places}); rename one of them{hint}")
    return DataFrame(rows, columns=names, dtype=object), separator


def _read_binary(where: str, file: Path, *, header: bool) -> tuple[list[str], list[list[str]]]:
    """Names and rows of a Parquet or Excel file; numbers are written so that reading them gives the same numbers."""
    try:
        if file.suffix.lower() in PARQUET:
            frame = pd.read_parquet(file)
            named = [str(name).strip() for name in frame.columns]
            return named, _texts(frame)
        frame = pd.read_excel(file, header=None, dtype=object)
    except ImportError as error:
        raise UserError(f"{where}: to read it, install initlab[excel] ({first_line(error)})") from error
    except Exception as error:  # damaged files bring about errors of any kind
        raise UserError(f"{where}: no table ({type(error).__name__}: {first_line(error)})") from error
    rows = _texts(frame.dropna(how="all"))
    if header and not rows:
        raise UserError(f"{where}: no table: it is empty")
    return (rows[0], rows[1:]) if header else (_numbered(frame.shape[1]), rows)


def _texts(frame: DataFrame) -> list[list[str]]:
    def text(value: Any) -> str:
        if value is None or value is pd.NaT or value is pd.NA or value != value:
            return ""
        return str(value).strip()

    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if pd.api.types.is_float_dtype(column):
            column = column.astype(float)  # of 32 bits, say: its exact value
        columns.append([text(value) for value in column.astype(object)])
    return [list(row) for row in zip(*columns, strict=True)]


def _lines(where: str, file: Path, encoding: str | None) -> tuple[list[str], str]:
    """The lines of a text, decoded, and its encoding in words.

    Raises:
        UserError: the file cannot be read, is empty, or is written in another encoding.
    """
    try:
        with PACKED.get(file.suffix.lower(), open)(file, "rb") as opened:
            content: bytes = opened.read()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UserError(f"{where}: cannot be read ({first_line(error)})") from error
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    written = (encoding or marked).upper().removesuffix("-SIG")
    try:
        codecs.lookup(encoding or marked)
    except LookupError as error:
        raise UserError(f"data.encoding={encoding}: there is no such encoding; utf-16 and latin-1 are some") from error
    try:
        text = content.decode(encoding or marked)
    except UnicodeError as error:
        place = getattr(error, "start", 0)
        line = content[:place].count(b"\n") + 1
        byte = f"line {line} has the byte 0x{content[place]:02x}" if place < len(content) else first_line(error)
        raise UserError(
            f"{where}: no table in {written} ({byte}); "
            "set data.encoding, e.g. latin-1 or cp1252 for Western Europe, utf-16"
        ) from error
    if "\0" in text:
        raise UserError(f"{where}: no table in {written} (it holds zero bytes); data.encoding=utf-16 if it is a text")
    # `splitlines` would split at characters, too, that people have within a field, such as U+2028 or U+0085.
    lines = list(StringIO(text.removeprefix("\ufeff"), newline=""))
    if not any(line.strip() for line in lines):
        raise UserError(f"{where}: no table in {written} (it is empty)")
    return lines, written


def _separator(separator: str | None, lines: list[str], *, header: bool) -> tuple[str, list[str]]:
    """What stands between fields, and the lines without those that are not of the table: comments above it.

    With a header line it is whichever of the usual ones splits that line into the most names. Without one, a comma may
    be a decimal one: any other that splits all lines alike goes before it.
    """
    start = next(place for place, line in enumerate(lines) if line.strip())
    first = lines[start].strip()
    if first.lower().startswith("sep=") and len(first) == 5:  # a note of Excel's
        separator, start = separator or first[4], start + 1
    comments = start
    while comments < len(lines) and (lines[comments].startswith("#") or not lines[comments].strip()):
        comments += 1
    if comments == len(lines):
        return separator or ",", lines

    def fields(line: str, mark: str) -> int:
        return len(next(csv.reader([line], delimiter=mark), []))

    table = lines[comments:]
    head = lines[comments - 1].lstrip("#").strip() if comments > start else ""
    marks = SEPARATORS if separator is None else separator
    # What numpy.savetxt writes above the numbers are their names.
    named = [mark for mark in marks if 1 < fields(head, mark) == fields(table[0], mark)] if header and head else []
    if named:
        return max(named, key=lambda mark: fields(head, mark)), [f"{head}\n", *table]
    if separator is not None:
        return separator, table
    if not header:
        seen = list(islice((line for line in table if line.strip()), LINES_SEEN))
        counts = {mark: {fields(line, mark) for line in seen} for mark in ";\t|"}
        alike = [mark for mark, found in counts.items() if len(found) == 1 and found != {1}]
        if alike:
            return alike[0], table
    return max(SEPARATORS, key=lambda mark: fields(table[0], mark)), table


def _split_lines(what: str, lines: Sequence[str], separator: str, *, header: bool) -> tuple[list[str], list[list[str]]]:
    """Names and rows of a text.

    Args:
        what: The file, and that it is no table in its encoding: the beginning of a message.
        lines: Of the text.
        separator: What stands between fields.
        header: Whether the first line names the columns.

    Raises:
        UserError: a row that has more or fewer fields than the header line, or a quote that does not end.
    """
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    found, places = [], []
    try:
        for fields in reader:
            if fields:
                found.append([field.strip() for field in fields])
                places.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"{what} (line {reader.line_num}: {first_line(error)})") from error
    names = found[0] if header else _numbered(len(found[0]))
    rows = found[1:] if header else found
    places = places[1:] if header else places
    width = max(map(len, rows), default=len(names))
    surplus = range(len(names), width)
    if surplus and all(len(row) == width and not any(row[len(names) :]) for row in rows):  # each line ends with one
        rows = [row[: len(names)] for row in rows]
    if header and rows and len(names) > 1 and all(len(row) == len(names) + 1 for row in rows):
        raise UserError(f"{what}: the first row has more fields than the header line has names")
    for row, place in zip(rows, places, strict=True):
        if len(row) != len(names) and row != [""]:
            raise UserError(
                f"{what} (Expected {len(names)} fields in line {place}, saw {len(row)}); quote what has the separator "
                "in it"
            )
    return names, [row for row in rows if row != [""] or len(names) == 1]


def _numbered(columns: int) -> list[str]:
    return [str(place) for place in range(1, columns + 1)]
