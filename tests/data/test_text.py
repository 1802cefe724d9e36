"""Texts: the windows, the characters and the encodings."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from initlab.base.errors import UserError
from initlab.config.names import named_after_files
from initlab.data.text import text
from initlab.jobs.data import JobData, forget_data
from tests.helpers import make_job

LINES = [f"Line {number} of a small book.\n" for number in range(60)]
BOOK = "".join(LINES)


def written(folder: Path, content: str, *, encoding: str = "utf-8") -> str:
    path = folder / "book.txt"
    path.write_bytes(content.encode(encoding))
    return str(path)


@pytest.mark.parametrize("val_fraction", [0.2, 0.0])
def test_each_character_asks_for_the_next_and_the_end_is_held_out(val_fraction: float, tmp_path: Path) -> None:
    data = text(path=written(tmp_path, BOOK), context=16, test_fraction=0.25, val_fraction=val_fraction)
    kinds, windows = sorted(set(BOOK)), (len(BOOK) - 1) // 16
    parts = [data.train, data.test] if data.validates_on_test else [data.train, data.val, data.test]
    assert data.validates_on_test == (val_fraction == 0)
    assert (data.task, data.classes, data.vocabulary, data.sequential) == ("sequence", len(kinds), len(kinds), True)
    assert (data.train.inputs.dtype, data.input_shape) == (torch.int64, (16,))
    expected = [BOOK[start : start + 17] for start in range(0, windows * 16, 16)]
    found = [
        "".join(kinds[token] for token in [*row, asked[-1]])
        for part in parts
        for row, asked in zip(part.inputs.tolist(), part.targets.tolist(), strict=True)
    ]
    assert found == expected
    assert all(torch.equal(part.inputs[:, 1:], part.targets[:, :-1]) for part in parts)
    assert len(data.test) == round(windows / 4)
    assert len(data.val) == (round((windows - len(data.test)) / 5) or len(data.test)) or data.validates_on_test
    assert data.test_rows.tolist() == list(range(windows - len(data.test), windows))
    assert data.note == f"all {len(BOOK):,} characters of book.txt, {len(kinds)} kinds"


def test_only_the_beginning_is_taken_where_that_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, BOOK)
    some = text(path=path, context=16, max_characters=801)
    assert len(some.train) + len(some.val) + len(some.test) == 50
    assert some.note.startswith(f"the first 801 of {len(BOOK):,} characters of book.txt")
    assert some.checksum == text(path=written(tmp_path, BOOK[:801]), context=16).checksum
    whole = text(path=written(tmp_path, BOOK * 200), context=16, max_characters=10**9)
    assert len(whole.train) + len(whole.val) + len(whole.test) == (200 * len(BOOK) - 1) // 16


def test_the_text_that_python_brings() -> None:
    data = text(max_characters=20_000)
    assert data.note.startswith("the first 20,000 of ")
    assert f"characters of the reference of Python {platform.python_version()}, {data.classes} kinds" in data.note
    assert text(max_characters=20_000).checksum == data.checksum
    rows = torch.cat([data.train.inputs, data.val.inputs, data.test.inputs])
    assert len(rows) == 19_999 // 64
    assert len(torch.cat([rows, data.test.targets]).unique()) == data.vocabulary
    assert 0.1 < data.baseline < 0.4  # of the space


def test_all_of_it_can_be_taken_whatever_its_characters() -> None:
    """Some of Python's topics have characters that no other has, in whatever part these are."""
    for test_fraction in (0.1, 0.5, 0.9):
        data = text(max_characters=10**9, context=512, test_fraction=test_fraction)
        assert data.vocabulary == data.classes


def test_the_splits_are_the_same_for_all_seeds(tmp_path: Path) -> None:
    config = {"_target_": "initlab.data.text.text", "name": "text", "path": written(tmp_path, BOOK), "context": 16}
    job = JobData(config)
    assert job.of_seed(1) is job.of_seed(2)
    assert job.note((1, 2)) == ""
    assert job.baselines((1, 2))[0] == pytest.approx(job.as_given.baseline)
    with pytest.raises(UserError, match=r"data.resplit=true: its test rows are the end of the text; leave it out"):
        _ = JobData({**config, "resplit": True}).resplits


def test_characters_that_only_later_parts_have(tmp_path: Path) -> None:
    content = BOOK[:-40] + "naïle Ω" + BOOK[-33:]
    path = written(tmp_path, content)
    line = content[: content.index("ï")].count("\n") + 1
    column = len(content[: content.index("ï")].splitlines()[-1]) + 1
    with pytest.raises(UserError) as caught:
        text(path=path, context=16)
    assert str(caught.value) == (
        f"data.path={path}: the character 'ï' (line {line}, column {column}) is not in the part that is trained on; "
        "data.unknown=replace takes such characters for one more symbol"
    )
    data = text(path=path, context=16, unknown="replace")
    known = sorted(set(content) - set("ïΩ"))
    assert data.classes == data.vocabulary == len(known) + 1
    tokens = torch.cat([data.train.inputs, data.val.inputs, data.test.inputs]).flatten().tolist()
    shown = "".join([*known, "?"][token] for token in tokens)
    assert shown == content.replace("ï", "?").replace("Ω", "?")[: len(tokens)]
    assert shown.count("?") == 2
    assert text(path=written(tmp_path, BOOK), context=16, unknown="replace").classes == len(set(BOOK))


def test_marks_and_ends_of_lines_are_no_part_of_a_text(tmp_path: Path) -> None:
    plain = text(path=written(tmp_path, BOOK), context=16).checksum
    for content in ("\ufeff" + BOOK, BOOK.replace("\n", "\r\n"), BOOK.replace("\n", "\r")):
        assert text(path=written(tmp_path, content), context=16).checksum == plain


@pytest.mark.parametrize(
    ("content", "encoding", "settings", "message"),
    [
        ("a\nb\n" + "é" * 900, "latin-1", {}, r"not in UTF-8 \(line 3 has the byte 0xe9\).*iconv -f latin-1 -t utf-8 "),
        (BOOK, "utf-16", {}, r"not in UTF-8 \(line 1 has the byte 0xff\).*iconv -f utf-16 -t utf-8 "),
        (BOOK, "utf-16-le", {}, r"no text in UTF-8 \(it holds zero bytes\).*iconv -f utf-16 -t utf-8 "),
        ("", "utf-8", {}, "0 characters for windows of data.context=64; expected at least 641"),
        (BOOK, "utf-8", {"context": 1000}, "characters for windows of data.context=1000; expected at least 10001"),
        (
            BOOK,
            "utf-8",
            {"max_characters": 100},
            "100 characters for windows of data.context=64; expected at least 641",
        ),
        ("a" * 900, "utf-8", {}, "there is a single class"),
        *((BOOK, "utf-8", {"context": steps}, f"data.context={steps}: expected at least 2") for steps in (0, 1)),
        (BOOK, "utf-8", {"max_characters": 0}, "data.max_characters=0: expected at least 1"),
        (BOOK, "utf-8", {"test_fraction": 0.0}, "data.test_fraction=0.0: expected a share in"),
        (BOOK, "utf-8", {"val_fraction": 1.0}, "data.val_fraction=1.0: expected a share in"),
        (BOOK, "utf-8", {"test_fraction": 0.001}, "data.test_fraction=0.001: leaves a part of 23 windows without any"),
        (BOOK, "utf-8", {"test_fraction": 0.999}, "data.test_fraction=0.999: leaves a part of 23 windows without any"),
        (BOOK, "utf-8", {"val_fraction": 0.001}, "data.val_fraction=0.001: leaves a part of 23 windows without any"),
    ],
)
def test_texts_that_are_none_or_too_short(
    content: str, encoding: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        text(path=written(tmp_path, content, encoding=encoding), **settings)
    assert "\n" not in str(caught.value)


def test_a_text_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.path=.*absent.txt: there is no such file \(seen from "):
        text(path=str(tmp_path / "absent.txt"))
    assert np.all(text(max_characters=2000, context=8).train.targets.numpy() >= 0)


def test_a_text_of_ones_own_is_named_after_its_file_and_changes_the_job(tmp_path: Path) -> None:
    chosen = ("data=wine", "data._target_=initlab.data.text.text", "+data.context=16")
    path = written(tmp_path, BOOK)
    job = make_job(*chosen, f"+data.path={path}")
    before = job.fingerprint
    assert path in job.made_of
    forget_data()
    written(tmp_path, BOOK.replace("small", "large"))
    assert make_job(*chosen, f"+data.path={path}").fingerprint != before
    named = named_after_files({"data": {"name": "text", "_target_": "initlab.data.text.text", "path": path}}, [])
    assert named["data"]["name"] == "book"
    plain = {"data": {"name": "text", "_target_": "initlab.data.text.text", "path": None}}
    assert named_after_files(plain, []) == plain
