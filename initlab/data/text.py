"""A text, character by character: what comes next?"""

import platform
from pathlib import Path
from pydoc_data.topics import topics
from typing import Final, Literal

import numpy as np
import torch

from initlab.base.errors import UserError, first_line
from initlab.base.wording import counted
from initlab.data.dataset import Dataset, Split
from initlab.data.limits import LEAST_ROWS, LEAST_STEPS, at_least

BYTES_OF_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


def text(
    *,
    path: str | None = None,
    context: int = 64,
    max_characters: int = 200_000,
    unknown: Literal["refuse", "replace"] = "refuse",
    test_fraction: float = 0.1,
    val_fraction: float = 0.1,
) -> Dataset:
    """A text in windows of `context` characters, each of which asks for the one that follows.

    The windows follow one another without overlap. The last ones are tested on, and those before them validated on:
    what a network is asked comes after what it was trained on. So the splits are the same for all seeds. There is a
    token, and a class of the same number, for each kind of character in the training part, by their code points.

    Without a path the text is the reference that Python's `help()` shows, its topics in alphabetical order. Python's
    versions differ in it. Its kinds of characters are all known, also those that the training part has not.

    Args:
        path: A file of your own, in UTF-8; None: Python's reference.
        context: Characters in a row, at least 2.
        max_characters: How many to take at most, from the beginning.
        unknown: What becomes of characters that the training part has not: `"refuse"`, or `"replace"` by one token
            more, the same for all of them.
        test_fraction: Share of the windows to test on, in (0, 1).
        val_fraction: Share of the remaining windows to validate on, in [0, 1); 0 validates on the test rows.

    Raises:
        UserError: a file that is not there or is not in UTF-8, a text that is too short, a fraction that leaves a part
            without rows, or a character that is not known.
    """
    at_least(context=(context, LEAST_STEPS), max_characters=(max_characters, 1))
    where = "data=text" if path is None else f"data.path={path}"
    whole = "\n".join(topics[name] for name in sorted(topics)) if path is None else _read(where, path)
    content = whole[:max_characters]
    windows = (len(content) - 1) // context
    if windows < LEAST_ROWS:
        raise UserError(
            f"{where}: {counted(len(content), 'character')} for windows of data.context={context}; expected at least "
            f"{LEAST_ROWS * context + 1}: take more text, or a shorter context"
        )
    training, validating, _ = counts = _counts(windows, test_fraction, val_fraction)
    codes = np.frombuffer(content[: windows * context + 1].encode("utf-32-le"), np.uint32)
    kinds = np.unique(codes if path is None else codes[: training * context + 1])
    known = np.isin(codes, kinds)
    if not known.all() and unknown == "refuse":
        raise UserError(f"{where}: {_unknown(content, int(known.argmin()))}")
    tokens = np.where(known, np.searchsorted(kinds, codes), len(kinds)).astype(np.int64)
    inputs, targets = (torch.from_numpy(part.reshape(windows, context)) for part in (tokens[:-1], tokens[1:]))
    train, val, test = map(Split, inputs.split(counts), targets.split(counts))
    named = f"the reference of Python {platform.python_version()}" if path is None else Path(path).name
    part = "all" if len(content) == len(whole) else f"the first {len(content):,} of"
    count = len(kinds) + (not known.all())
    return Dataset(
        train,
        val if validating else test,
        test,
        classes=count,
        validates_on_test=not validating,
        note=f"{part} {len(whole):,} characters of {named}, {count} kinds",
        test_rows=torch.arange(windows - len(test), windows),
        split_once="its test rows are the end of the text",
        sequential=True,
        vocabulary=count,
    )


def _counts(windows: int, test_fraction: float, val_fraction: float) -> tuple[int, int, int]:
    """How many windows there are to train, to validate and to test on.

    Raises:
        UserError: a share is out of range, or leaves a part without windows.
    """
    if not 0 < test_fraction < 1:
        raise UserError(f"data.test_fraction={test_fraction}: expected a share in (0, 1)")
    if not 0 <= val_fraction < 1:
        raise UserError(f"data.val_fraction={val_fraction}: expected a share in [0, 1)")
    testing = round(windows * test_fraction)
    validating = round((windows - testing) * val_fraction)
    training = windows - testing - validating
    if not testing or not training:
        raise UserError(f"data.test_fraction={test_fraction}: leaves a part of {windows} windows without any")
    if val_fraction and not validating:
        raise UserError(f"data.val_fraction={val_fraction}: leaves a part of {windows} windows without any")
    return training, validating, testing


def _read(where: str, path: str) -> str:
    """The text of a file, its lines ended by a single character each.

    Raises:
        UserError: there is no such file, or it is not in UTF-8.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{where}: there is no such file (seen from {Path.cwd()})")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({first_line(error)})") from error
    try:
        found = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        written = "utf-16" if content.startswith(BYTES_OF_UTF_16) else "latin-1"
        line = content[: error.start].count(b"\n") + 1
        raise UserError(
            f"{where}: not in UTF-8 (line {line} has the byte 0x{content[error.start]:02x}); save it as UTF-8, or "
            f"convert it: iconv -f {written} -t utf-8 {path} > utf8.txt"
        ) from error
    if "\0" in found:
        raise UserError(
            f"{where}: no text in UTF-8 (it holds zero bytes); if it is a text, convert it: iconv -f utf-16 -t utf-8 "
            f"{path} > utf8.txt"
        )
    return found.replace("\r\n", "\n").replace("\r", "\n")


def _unknown(content: str, place: int) -> str:
    """What is wrong with a character, where it is, and what to do."""
    before = content[:place]
    line, column = before.count("\n") + 1, place - before.rfind("\n")
    return (
        f"the character {content[place]!r} (line {line}, column {column}) is not in the part that is trained on; "
        "data.unknown=replace takes such characters for one more symbol"
    )
