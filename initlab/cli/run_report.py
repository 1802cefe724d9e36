"""python -m initlab.report: what finished studies say, as tables, plots and a page."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from initlab.base.console import open_console, say, stop, survive_any_encoding
from initlab.base.errors import UserError
from initlab.base.importing import load
from initlab.base.wording import listed
from initlab.results.confidence import LEVEL, MARGIN

if TYPE_CHECKING:
    from initlab.results.study import Study


def main() -> None:
    """Run the command line."""
    survive_any_encoding()
    arguments = _parser().parse_args()
    try:
        run_report(
            arguments.folders,
            arguments.output,
            select=_selection(arguments.select),
            latex=arguments.latex,
            pdf=arguments.pdf,
            title=arguments.title,
            level=_share("--level", arguments.level),
            margin=_share("--margin", arguments.margin),
        )
    except UserError as error:
        stop(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m initlab.report",
        description="Say what one or several studies show: report.html, report.md, figures/ and tables/.",
        epilog="Several folders are read as one study; what cannot be compared is kept apart.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folder of a study, e.g. outputs/study")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where the report goes; by default into the study's folder, of several into ./report",
    )
    parser.add_argument(
        "--select",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="only jobs with these values, e.g. data=wine init=he_normal,xavier*",
    )
    parser.add_argument(
        "--level",
        default=str(LEVEL),
        metavar="SHARE",
        help="confidence level of all intervals and tests, between 0 and 1; by default %(default)s",
    )
    parser.add_argument(
        "--margin",
        default=str(MARGIN),
        metavar="SHARE",
        help="a difference of accuracy or R² that does not matter: closer candidates are equivalent; by default "
        "%(default)s",
    )
    parser.add_argument("--title", help="the heading; by default the names of the studies")
    parser.add_argument("--latex", action="store_true", help="every table as tables/NAME.tex, too (booktabs)")
    parser.add_argument(
        "--pdf", action="store_true", help="every figure as figures/NAME.pdf, too; takes a quarter longer"
    )
    return parser


def _share(option: str, text: str) -> float:
    """The share that an option was given.

    Raises:
        UserError: no number between 0 and 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if 0 < share < 1:
        return share
    meant = f"; for {text} % type {option} {share / 100:g}" if 1 < share < 100 else ""
    example = {"--level": 0.99, "--margin": 0.02}[option]
    raise UserError(f"{option} {text}: expected a number between 0 and 1, e.g. {option} {example}{meant}")


def _selection(words: Sequence[str]) -> dict[str, list[str]]:
    """What `--select` was given, by its keys.

    Raises:
        UserError: a word without a key or without a value.
    """
    wanted: dict[str, list[str]] = {}
    for word in words:
        key, _, values = word.partition("=")
        if not key or not values:
            raise UserError(f"--select {word}: expected KEY=VALUE or KEY=VALUE,VALUE, e.g. data=wine")
        wanted.setdefault(key, []).extend(values.split(","))
    return wanted


def run_report(
    folders: Sequence[Path],
    output: Path | None = None,
    *,
    select: Mapping[str, Sequence[str]] = MappingProxyType({}),
    latex: bool = False,
    pdf: bool = False,
    title: str | None = None,
    level: float = LEVEL,
    margin: float = MARGIN,
) -> Path:
    """Read studies, or probes, and write their report; the answer is printed, too.

    Args:
        folders: One a study, as `outputs/NAME`; several are read as one study.
        output: Folder that the report goes to; None: the study's own, of several ./report.
        select: By configuration key, the values that jobs must have to be reported; see `select_jobs`.
        latex: Whether tables are written as LaTeX, too.
        pdf: Whether figures are written as PDF, too.
        title: Heading of the report; None: the names of the studies, or what they compare where they have none.
        level: Confidence level of all intervals and tests, in (0, 1); a probe's report has neither.
        margin: A difference of scores that does not matter, in (0, 1); a probe's report has none.

    Returns:
        Path of report.html.

    Raises:
        UserError: a folder holds no results, or the report cannot be written.
    """
    load("initlab.reporting.sections")  # pandas and matplotlib: --help does without
    from initlab.reporting.document import Files, Paragraph, Points
    from initlab.reporting.probing import compose_probe_report, probe_title, read_probe
    from initlab.reporting.sections import compose_report, selection_words, title_of
    from initlab.reporting.write import write_report
    from initlab.results.analysis import analyse
    from initlab.results.selection import select_jobs
    from initlab.tables.store import finished_jobs

    probed = [job for folder in folders for job in read_probe(folder)]
    study = None if probed and not any(finished_jobs(folder) for folder in folders) else _read(folders)
    target = output or (folders[0] if len(folders) == 1 else Path("report"))
    names = [folder.resolve().name for folder in folders]
    if study is None:
        written = compose_probe_report(probed, title or probe_title(names, probed))
    else:
        chosen = select_jobs(study, select) if select else study
        analysis = analyse(chosen, level=level, margin=margin)
        selection = selection_words(select, len(chosen.configs), len(study.configs)) if select else ""
        written = replace(compose_report(analysis, title or title_of(names, analysis)), selection=selection)
    kinds = Files(("svg", "png", *(["pdf"] if pdf else [])), ("csv", *(["tex"] if latex else [])))
    write_report(written, target, kinds)
    console = open_console()
    given = {"--select": bool(select), "--level": level != LEVEL, "--margin": margin != MARGIN}
    ignored = [option for option, typed in given.items() if typed]
    if study is None and ignored:
        say(console, f"{listed(ignored)}: without effect on a probe, whose jobs are all shown, without intervals")
    if written.selection:
        say(console, written.selection)
    for part in written.sections[0].parts:
        match part:
            case Paragraph(text):
                say(console, text)
            case Points(items):
                for item in items:
                    say(console, f"  {item}")
    say(console, f"In {target}: report.html, report.md, figures/, tables/")
    return target / "report.html"


def _read(folders: Sequence[Path]) -> "Study":
    from initlab.results.study import read_study
    from initlab.tables.store import finished_jobs

    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    study = read_study(*folders)
    if not study.members.empty:
        return study
    names = ", ".join(map(str, folders))
    if study.unreadable:
        raise UserError(f"{names}: no job that can be read: {study.unreadable[0]}")
    if study.failed:
        raise UserError(f"{names}: every job failed; the tracebacks are in error.txt in each one's folder")
    inside = sorted({path for folder in folders for path in folder.glob("*/") if any(finished_jobs(path))})
    hint = f"; studies in it: {', '.join(map(str, inside[:5]))}" if inside else ""
    raise UserError(f"{names}: no finished job{hint}")
