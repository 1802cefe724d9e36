"""Chapters as files beside the results: a page, its picture, and the small tables that the verdict rests on."""

import json
from functools import partial
from pathlib import Path

import pandas as pd

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole, write_whole
from initlab.lessons.chapter import compose_chapter, finding_of, seeds_in
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.lesson import VERDICT, Lesson
from initlab.reporting.write import write_report


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
        found = {"answer": finding.answer, "verdict": str(finding), "seeds": seeds_in(tables)}
        write_text_whole(folder / VERDICT, json.dumps(found, ensure_ascii=False))
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
