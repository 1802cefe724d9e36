"""python -m initlab.report: what finished studies say, as tables, plots and a page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from initlab.base.console import open_console, say, survive_any_encoding
from initlab.base.errors import UserError
from initlab.reporting.document import Paragraph, Points
from initlab.reporting.sections import compose_report
from initlab.reporting.write import write_report
from initlab.results.analysis import analyse
from initlab.results.study import Study, read_study


def main() -> None:
    """Run the command line."""
    survive_any_encoding()
    arguments = _parser().parse_args()
    try:
        run_report(arguments.folders, arguments.output)
    except UserError as error:
        sys.stderr.write(f"initlab: {' '.join(str(error).split())}\n")
        sys.exit(error.exit_code)


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
    return parser


def run_report(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Read studies and write their report; the answer is printed, too.

    Args:
        folders: One a study, as `outputs/NAME`; several are read as one study.
        output: Folder that the report goes to; None: the study's own, of several ./report.

    Returns:
        Path of report.html.

    Raises:
        UserError: a folder holds no results, or the report cannot be written.
    """
    study = _read(folders)
    target = output or (folders[0] if len(folders) == 1 else Path("report"))
    title = ", ".join(folder.resolve().name for folder in folders)
    written = compose_report(analyse(study), title)
    write_report(written, target)
    console = open_console()
    for part in written.sections[0].parts:
        match part:
            case Paragraph(text):
                say(console, text)
            case Points(items):
                for item in items:
                    say(console, f"  {item}")
    say(console, f"In {target}: report.html, report.md, figures/, tables/")
    return target / "report.html"


def _read(folders: Sequence[Path]) -> Study:
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
    inside = sorted({path.parent.parent for folder in folders for path in folder.glob("*/*/members.parquet")})
    hint = f"; studies in it: {', '.join(map(str, inside[:5]))}" if inside else ""
    raise UserError(f"{names}: no finished job{hint}")
