"""A chapter of the book: the claim, the picture, what is seen, why, the verdict, and what to try next."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables, with_seeds
from initlab.lessons.lesson import Lesson, command_of
from initlab.lessons.rates import at_the_end
from initlab.reporting.document import Code, Paragraph, Part, Picture, Points, Report, Section, Table

Judge = Callable[[Tables], Finding]
Draw = Callable[[Tables], Figure]
MOST_ROWS: Final = 60  # of a table that is shown in a chapter


def judge_of(lesson: Lesson) -> Judge:
    """The function that reads a lesson's tables."""
    judge: Judge = _module(lesson).judge
    return judge


def draw_of(lesson: Lesson) -> Draw:
    """The function that makes a lesson's picture from its tables."""
    draw: Draw = _module(lesson).draw
    return draw


def _module(lesson: Lesson) -> Any:
    return importlib.import_module(f"initlab.lessons.claims.{lesson.name}")


def finding_of(lesson: Lesson, tables: Tables, *, seeds: int | None = None) -> Finding:
    """What a lesson's tables say; undecided where there are too few networks.

    Where a learning rate was chosen, it is said for which kinds of networks that is the smallest or largest one tried.

    Args:
        lesson: The lesson.
        tables: Its tables.
        seeds: How many networks of each kind there were; None: as many as the tables say.
    """
    found = judge_of(lesson)(tables)
    choose = [f"{key}.candidates" for key, each in lesson.experiments.items() if each.chooses_rate]
    rates = at_the_end({name: tables[name] for name in choose}, getattr(_module(lesson), "name_kind", None))
    found = replace(found, certainty=f"{found.certainty}{rates}")
    return with_seeds(found, lesson, seeds_in(tables) if seeds is None else seeds)


def seeds_in(tables: Tables) -> int:
    """How many networks of each kind there are, at least."""
    counts = [
        table.groupby("job")["seed"].nunique().min() if name.endswith(".members") else table["networks"].min()
        for name, table in tables.items()
        if name.endswith((".members", ".signal"))
    ]
    return int(min(counts))


def compose_chapter(lesson: Lesson, tables: Tables) -> Report:
    """Write a lesson's chapter.

    Args:
        lesson: The lesson.
        tables: As `evidence.collect` returns them.
    """
    finding = finding_of(lesson, tables)
    picture = Picture(lesson.name, lesson.look_at, draw_of(lesson)(tables))
    commands = "\n".join(command_of(experiment) for experiment in lesson.experiments.values())
    parts: list[Part] = [Paragraph(paragraph) for paragraph in lesson.why.split("\n\n")]
    numbers = [
        Table(name, f"The table `{name}` of this lesson", table, table.astype(str), folded=True)
        for name, table in tables.items()
        if len(table) <= MOST_ROWS
    ]
    return Report(
        lesson.title,
        [
            Section("The claim", [Paragraph(f"“{lesson.claim}” ({lesson.taught})"), Paragraph(lesson.question)]),
            Section("The verdict", [Paragraph(str(finding))]),
            Section("What you see", [picture, Points(list(finding.seen))]),
            Section("Why", parts),
            Section(
                "How sure that is",
                [Paragraph(finding.certainty), Paragraph(f"What would change it: {lesson.change}")],
            ),
            Section("Try next", [Code("\n".join(lesson.next))]),
            Section("How it was made", [Code(commands), *numbers]),
        ],
    )
