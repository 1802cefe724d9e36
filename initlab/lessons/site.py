"""The textbook in the documentation: a page a lesson, pictures for light and dark, and the small tables behind it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pandas as pd

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole, write_whole
from initlab.base.machine import describe_machine
from initlab.figures.style import dark_figures, save_svg
from initlab.lessons.book import read_tables, write_tables
from initlab.lessons.chapter import draw_of, finding_of, seeds_in
from initlab.lessons.finding import Finding, Tables
from initlab.lessons.lesson import Lesson, all_lessons, command_of

FACTS: Final = "made.json"
INTRODUCTION: Final = """\
# The textbook

What students are taught about weight initialization, each sentence put to the test. Verdicts and numbers are computed
from the tables that stand behind each page, and another machine may find otherwise. Run one yourself in a minute or
two, or all of them in about {minutes:.0f} minutes on two cores:

```sh
python -m initlab.textbook symmetry_relu
python -m initlab.textbook all
```
"""
HEAD: Final = ("| the claim, as it is taught | the verdict |", "|---|---|")
READING: Final = """\
## How to read a page

- **What is compared** are networks that differ in one thing, ten or more of each, each from a seed of its own: other
  weights, another order of the rows and, as a rule, another split into rows to learn from and to be tested on.
- **[a, b]** behind a number is its 95 % interval. A difference is **better** or **worse** where its interval leaves out
  0, **equivalent** where all of it lies within what does not matter (0.01, unless the page says otherwise), else
  **undecided**.
- **σ** is the standard deviation of the weights of a layer, **n** the number of its inputs, **z** what a unit gets
  before its activation φ, **δ** the gradient there, **e+07** as in 8e+07 means × 10⁷. He's weights have σ² = 2/n,
  Xavier's 2/(n + m) with m units, LeCun's 1/n.
- **Why** is the explanation as courses give it. What the page has measured stands above it.

More words are in the [glossary](../glossary.md).
"""


def add_page(lesson: Lesson, tables: Tables, docs: Path) -> None:
    """Make a lesson's page, and keep the tables that it is made of beside it.

    Args:
        lesson: The lesson.
        tables: Of its experiments, as `evidence.collect` returns them.
        docs: The folder of the pages; the tables go to `tables/` in it, a folder a lesson.

    Raises:
        UserError: the files cannot be written.
    """
    folder = docs / "tables" / lesson.name
    machine = describe_machine("auto", "")
    facts = {
        "date": datetime.now(UTC).date().isoformat(),
        "seeds": seeds_in(tables),
        "device": machine["device"],
        "cores": machine["cores"],
        "python": machine["python"],
        **{name: machine["versions"][name] for name in ("initlab", "torch")},
    }
    try:
        for former in folder.glob("*.csv"):
            former.unlink()
        write_tables(_used(lesson, tables), folder)
        write_text_whole(folder / FACTS, json.dumps(facts, indent=2) + "\n")
        write_page(lesson, docs)
    except OSError as error:
        raise UserError(f"{docs}: cannot be written ({error.strerror})") from error


def write_page(lesson: Lesson, docs: Path) -> None:
    """Write a lesson's page and pictures from the tables that are kept in the documentation."""
    tables, facts = read_kept(lesson, docs)
    write_whole(docs / f"{lesson.name}.svg", partial(save_svg, draw_of(lesson)(tables)))
    with dark_figures():
        write_whole(docs / f"{lesson.name}_dark.svg", partial(save_svg, draw_of(lesson)(tables)))
    write_text_whole(docs / f"{lesson.name}.md", page_of(lesson, tables, facts))


def write_index(docs: Path) -> None:
    """Write the page that lists the claims and their verdicts."""
    write_text_whole(docs / "index.md", index_of(docs))


def read_kept(lesson: Lesson, docs: Path) -> tuple[Tables, Mapping[str, Any]]:
    """A lesson's tables as the documentation keeps them, and on what they were made.

    Raises:
        UserError: there are none.
    """
    folder = docs / "tables" / lesson.name
    if not (folder / FACTS).exists():
        raise UserError(f"{folder}: has no tables; run python -m initlab.textbook {lesson.name} --update-docs")
    return read_tables(folder), json.loads((folder / FACTS).read_text(encoding="utf-8"))


def page_of(lesson: Lesson, tables: Tables, facts: Mapping[str, Any]) -> str:
    """A lesson's page, in Markdown.

    Args:
        lesson: The lesson.
        tables: Those that it is judged by.
        facts: When and on what they were made.
    """
    return "\n".join(_page(lesson, finding_of(lesson, tables, seeds=facts["seeds"]), facts)) + "\n"


def _page(lesson: Lesson, finding: Finding, facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {lesson.title}\n\n> {lesson.claim}\n\nTaught {lesson.taught}. {lesson.question}\n\n**{finding}**\n"
    for name, scheme in {lesson.name: "light", f"{lesson.name}_dark": "dark"}.items():
        yield f"![{_label(lesson.look_at)}]({name}.svg#only-{scheme})"
    yield f"\n*{lesson.look_at}*\n"
    yield from (f"- {sentence}" for sentence in finding.seen)
    yield f"\n## Why\n\n{lesson.why}\n"
    yield f"## How sure that is\n\n{finding.certainty} [How to read it](index.md#how-to-read-a-page).\n"
    yield f"What would change it: {lesson.change}\n"
    yield from ["## Try next\n", "```sh", *lesson.next, "```\n"]
    yield f"## How it was made\n\nBy `python -m initlab.textbook {lesson.name}`, which runs\n"
    yield from ["```sh", *map(command_of, lesson.experiments.values()), "```\n"]
    yield (
        f"with {facts['seeds']} networks of each kind: on {facts['date']}, {facts['device']}, {facts['cores']} cores, "
        f"initlab {facts['initlab']}, torch {facts['torch']}, Python {facts['python']}. Its tables are in "
        f"`docs/textbook/tables/{lesson.name}/`."
    )


def _label(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")


def index_of(docs: Path) -> str:
    """The page that lists the claims by topic, and their verdicts, in Markdown."""
    lessons = kept_lessons(docs)
    introduction = INTRODUCTION.format(minutes=sum(lesson.minutes for lesson in lessons))
    topics = [
        line
        for topic, own in groupby(lessons, key=lambda lesson: lesson.topic)
        for line in (f"## {topic}\n", *HEAD, *(_row(lesson, docs) for lesson in own), "")
    ]
    return "\n".join([introduction, *topics, READING]) + "\n"


def _row(lesson: Lesson, docs: Path) -> str:
    tables, facts = read_kept(lesson, docs)
    finding = finding_of(lesson, tables, seeds=facts["seeds"])
    claim, verdict = (text.replace("|", "\\|") for text in (lesson.claim, str(finding)))
    return f"| [{claim}]({lesson.name}.md) | {verdict} |"


def kept_lessons(docs: Path) -> Sequence[Lesson]:
    """The lessons that have a page, in the order of the book."""
    return [lesson for lesson in all_lessons() if (docs / "tables" / lesson.name / FACTS).exists()]


def _used(lesson: Lesson, tables: Tables) -> Tables:
    """The tables that a lesson's verdict and picture read."""
    noted = _Noted(tables)
    finding_of(lesson, noted)
    draw_of(lesson)(noted)
    return {name: table for name, table in tables.items() if name in noted.read}


class _Noted(dict[str, pd.DataFrame]):
    """Tables that note which of them are read."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> pd.DataFrame:
        self.read.add(name)
        return super().__getitem__(name)
