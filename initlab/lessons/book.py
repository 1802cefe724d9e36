"""Chapters as files: beside the results, and as pages of the documentation with the small tables that they rest on."""

import json
from functools import partial
from pathlib import Path
from typing import Final

import pandas as pd

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole, write_whole
from initlab.base.machine import describe_machine
from initlab.figures.style import save_svg
from initlab.lessons.chapter import compose_chapter, draw_of, finding_of, seeds_in
from initlab.lessons.evidence import collect
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.lesson import Lesson, command_of
from initlab.reporting.write import write_report

VERDICT: Final = "verdict.json"
MACHINE: Final = ("versions", "platform", "processor", "device")


def write_chapter(lesson: Lesson, root: Path) -> tuple[Finding, Path]:
    """Write a lesson's chapter from the results of its experiments: a page, its picture, its tables.

    Returns:
        What it found, and the folder.

    Raises:
        UserError: there are no results, or the files cannot be written.
    """
    tables, folder = collect(lesson, root), root / lesson.name
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
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def read_verdict(lesson: Lesson, root: Path) -> str:
    """The verdict of the last run; empty where there was none."""
    try:
        return str(json.loads((root / lesson.name / VERDICT).read_text(encoding="utf-8"))["verdict"])
    except (OSError, ValueError, KeyError):
        return ""


def write_page(lesson: Lesson, root: Path, docs: Path) -> None:
    """Make a lesson's page of the site, with its tables and picture, from the results of its experiments."""
    tables = collect(lesson, root)
    write_tables(tables, docs / "tables" / lesson.name)
    machine = describe_machine("cpu", "")
    facts = {key: machine[key] for key in machine if key in (*MACHINE, "date", "created", "torch")}
    write_text_whole(docs / "tables" / lesson.name / "machine.json", json.dumps(facts, indent=2, default=str) + "\n")
    write_whole(docs / f"{lesson.name}.svg", partial(save_svg, draw_of(lesson)(tables)))
    write_text_whole(docs / f"{lesson.name}.md", page_of(lesson, tables))


def page_of(lesson: Lesson, tables: Tables) -> str:
    """A lesson's page, in Markdown."""
    finding = finding_of(lesson, tables)
    commands = "\n".join(command_of(experiment) for experiment in lesson.experiments.values())
    seen = "\n".join(f"- {sentence}" for sentence in finding.seen)
    return (
        f"# {lesson.title}\n\n> {lesson.claim}\n\nTaught {lesson.taught}. {lesson.question}\n\n"
        f"![{lesson.look_at}]({lesson.name}.svg)\n\n*{lesson.look_at}*\n\n{seen}\n\n"
        f"## Why\n\n{lesson.why}\n\n## The verdict\n\n**{finding}** {finding.certainty}\n\n"
        f"What would change it: {lesson.change}\n\n## Try next\n\n```sh\n" + "\n".join(lesson.next) + "\n```\n\n"
        f"## How it was made\n\n```sh\npython -m initlab.textbook {lesson.name}\n```\n\nwhich runs, over "
        f"{seeds_in(tables)} seeds:\n\n```sh\n{commands}\n```\n"
    )
