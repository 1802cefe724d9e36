"""Chapters as files beside the results: a page, its picture, and the small tables that the verdict rests on."""

import json
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole, write_whole
from initlab.lessons.chapter import compose_chapter, finding_of, seeds_in
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.lesson import Lesson
from initlab.reporting.write import write_report

VERDICT: Final = "verdict.json"


def write_chapter(lesson: Lesson, tables: Tables, root: Path) -> tuple[Finding, Path]:
    """Write a lesson's chapter: a page, its picture, its tables.

    Args:
        lesson: The lesson.
        tables: Of its experiments, as `evidence.collect` returns them.
        root: The folder that gets one for the chapter.

    Returns:
        What it found, and the folder.

    Raises:
        UserError: the files cannot be written.
    """
    folder = root / lesson.name
    finding = finding_of(lesson, tables)
    write_report(compose_chapter(lesson, tables), folder)
    try:
        write_tables(tables, folder / "tables")
        text = json.dumps({"verdict": str(finding), "seeds": seeds_in(tables)}, ensure_ascii=False)
        write_text_whole(folder / VERDICT, text)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    return finding, folder


def write_tables(tables: Tables, folder: Path) -> None:
    """Write all tables of a lesson as CSV files."""
    for name, table in tables.items():
        write_whole(folder / f"{name}.csv", partial(table.to_csv, index=False))


def read_tables(folder: Path) -> Tables:
    """The tables of a lesson as `write_tables` has written them."""
    # `null` is the value of a key, such as `gradient_clip`.
    return {
        path.stem: pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in sorted(folder.glob("*.csv"))
    }


def read_verdict(lesson: Lesson, root: Path) -> str:
    """The verdict of the last run; empty where there was none."""
    try:
        return str(json.loads((root / lesson.name / VERDICT).read_text(encoding="utf-8"))["verdict"])
    except (OSError, ValueError, KeyError):
        return ""
