"""python -m initlab.textbook [LESSON …]: put what students are taught about initialization to the test."""

import argparse
import contextlib
import io
import os
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from initlab.base.console import open_console, say, say_as_is, stop, survive_any_encoding
from initlab.base.errors import JobsFailedError, UserError
from initlab.base.inline_picture import inline_picture
from initlab.base.wording import counted
from initlab.cli.command import INTERRUPTED
from initlab.lessons.lesson import Lesson, all_lessons, command_of, folders_of, lesson_names, read_answer, read_lesson

if TYPE_CHECKING:
    from initlab.lessons.finding import Tables

ROOT = Path("outputs/textbook")
DOCS = Path("docs/textbook")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: What follows the program's name; None: what was typed.
    """
    parser = argparse.ArgumentParser(prog="python -m initlab.textbook", description=__doc__)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="lessons to run, or all; none: the list")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="networks of each kind, in place of the lesson's own number"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the first of the seeds (0)")
    parser.add_argument("--output-dir", type=Path, default=ROOT, metavar="DIR", help=f"where results go ({ROOT})")
    parser.add_argument("--again", action="store_true", help="train anew what is there")
    parser.add_argument("--update-docs", action="store_true", help=f"write the chapters of the site ({DOCS})")
    survive_any_encoding()
    chosen = parser.parse_args(arguments)
    console = open_console()
    try:
        if not chosen.lessons:
            show_list(console, chosen.output_dir)
            return
        names = lesson_names() if chosen.lessons == ["all"] else chosen.lessons
        lessons = [read_lesson(name) for name in names]
        if chosen.seeds is not None and chosen.seeds < 2:
            raise UserError(f"--seeds {chosen.seeds}: expected at least 2")
        failed = []
        for lesson in lessons:
            try:
                tables = run_lesson(
                    lesson, console, root=chosen.output_dir, seeds=chosen.seeds, first=chosen.seed, again=chosen.again
                )
            except UserError as error:
                if len(lessons) == 1:
                    raise
                failed.append(f"{lesson.name}: {error}")
                continue
            if chosen.update_docs:
                from initlab.lessons.site import add_page, write_index

                add_page(lesson, tables, DOCS)
                write_index(DOCS)
        if failed:
            raise JobsFailedError(f"{counted(len(failed), 'lesson')} failed: {'; '.join(failed)}")
    except UserError as error:
        stop(error)
    except KeyboardInterrupt:
        say(console, "stopped; what has finished is kept, and the same command goes on")
        sys.exit(INTERRUPTED)


def show_list(console: Console, root: Path) -> None:
    """Show all lessons by topic: name, title, what became of the claim where it has run, and how long it takes."""
    table = Table(box=None, pad_edge=False, header_style="none")
    table.add_column("lesson", no_wrap=True)
    table.add_column("what it is about")
    table.add_column("the claim", no_wrap=True)
    table.add_column("min", justify="right", no_wrap=True)
    for topic, lessons in groupby(all_lessons(), key=lambda lesson: lesson.topic):
        table.add_row("", "")
        table.add_row("", Text(topic, style="bold"))
        for lesson in lessons:
            table.add_row(lesson.name, lesson.title, read_answer(lesson, root), f"{lesson.minutes:g}")
    console.print(table)
    say(console, "\nThe claim, the experiment and the verdict of one, or of all:")
    say_as_is(console, "python -m initlab.textbook symmetry_relu")
    say_as_is(console, "python -m initlab.textbook all")


def run_lesson(
    lesson: Lesson, console: Console, *, root: Path, seeds: int | None, first: int = 0, again: bool = False
) -> "Tables":
    """Run a lesson's experiments, write its chapter, and say what came out.

    What is finished is not run again; an interrupted one goes on.

    Returns:
        The tables that it was judged by.

    Raises:
        UserError: an experiment cannot run, or a file cannot be written.
    """
    from initlab.lessons.book import write_chapter
    from initlab.lessons.evidence import collect

    began = time.monotonic()
    say(console, f"{lesson.title} (about {lesson.minutes:g} min)")
    for key in lesson.experiments:
        with console.status(f"{lesson.name}: {key}"):
            _run(lesson, key, root, seeds or lesson.seeds, first, again)
    tables = collect(lesson, root)
    finding, folder = write_chapter(lesson, tables, root)
    picture = (folder / "figures" / f"{lesson.name}.png").read_bytes()
    try:
        log_chapter(lesson, folder, picture)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from error
    say(console, f"“{lesson.claim}”\n")
    if console.is_terminal:
        sys.stdout.write(inline_picture(picture, os.environ))
    for sentence in finding.seen:
        say(console, sentence)
    say(console, "")
    for paragraph in lesson.why.split("\n\n"):
        say(console, paragraph)
    say(console, f"\n{finding}")
    say(console, finding.certainty)
    say(console, f"What would change it: {lesson.change}\n")
    say(console, "Try next:")
    for command in lesson.next:
        say_as_is(console, command)
    say(console, f"In {folder}: report.html, figures/{lesson.name}.png, tables/ ({time.monotonic() - began:.0f} s)")
    say_as_is(console, f"tensorboard --logdir {root}")
    return tables


def log_chapter(lesson: Lesson, folder: Path, picture: bytes) -> None:
    """Let TensorBoard show a chapter, from the report that lies in its folder."""
    from initlab.tracking.dashboard import write_chapter_log

    text = (folder / "report.md").read_text(encoding="utf-8").partition("\n## How it was made")[0]
    write_chapter_log(folder, lesson.title, _without_pictures(text), {lesson.name: picture})


def _without_pictures(markdown: str) -> str:
    return "\n".join(line for line in markdown.splitlines() if not line.startswith("!["))


def _run(lesson: Lesson, key: str, root: Path, seeds: int, first: int, again: bool) -> None:
    """Run one experiment here, as its command would; what it says is kept back unless it fails."""
    experiment, folder = lesson.experiments[key], folders_of(lesson, root)[key]
    words = [
        # What an experiment goes on from lies where the lesson's results do.
        *(word.replace(f"{ROOT.as_posix()}/", f"{root.as_posix()}/") for word in experiment.words),
        *(f"seeds={seeds}", f"seed={first}", f"name={folder.name}", f"output_dir={folder.parent}", "report=false"),
        *([] if any(word.startswith("logger=") for word in experiment.words) else ["logger=none"]),
        *(["resume=false"] if again and experiment.program == "train" else []),
    ]
    from initlab.cli import apps

    program, typed, said = getattr(apps, experiment.program), sys.argv, io.StringIO()
    many = ["-m"] if experiment.program == "train" else []
    environment = dict(os.environ)
    sys.argv = [f"initlab.{experiment.program}", *many, *words]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            program()
    except SystemExit as left:
        if left.code == INTERRUPTED:
            raise KeyboardInterrupt from left
        if left.code:
            last = [line for line in said.getvalue().splitlines() if line.strip()][-1:] or ["it gave no reason"]
            raise JobsFailedError(f"{command_of(experiment)}: {last[0]}") from left
    finally:
        sys.argv = typed
        os.environ.clear()
        os.environ.update(environment)
