"""Writing a report: report.html, report.md, every figure as SVG and PNG, every table as CSV."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole, write_whole
from initlab.base.forking import in_two
from initlab.figures.style import save_pdf, save_png, save_svg
from initlab.reporting.document import USUAL_FILES, Files, Picture, Report
from initlab.reporting.html import to_html
from initlab.reporting.latex import to_latex
from initlab.reporting.markdown import to_markdown


def write_report(report: Report, folder: Path, kinds: Files = USUAL_FILES) -> Sequence[Path]:
    """Write a report into a folder.

    Example:
        >>> from pathlib import Path
        >>> from initlab.reporting.sections import compose_report
        >>> from initlab.reporting.write import write_report
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> report = compose_report(analyse(read_study(Path("outputs/study"))), "My study")  # doctest: +SKIP
        >>> write_report(report, Path("outputs/study"))  # doctest: +SKIP
        [PosixPath('outputs/study/report.html'), PosixPath('outputs/study/report.md'), ...]

    Args:
        report: As `compose_report` returns it.
        folder: Where to write; it is made if it is absent, and a former report in it is replaced.
        kinds: What pictures and tables are written as; SVG, PNG and CSV are always among them.

    Returns:
        Paths of report.html and report.md, and of the folders figures/ and tables/.

    Raises:
        UserError: a file cannot be written, because the disk is full, say.
    """
    html, markdown = folder / "report.html", folder / "report.md"
    figures, tables = folder / "figures", folder / "tables"
    try:
        in_two([partial(_write_picture, picture, figures, kinds) for picture in report.pictures])
        pictures = {one.name: (figures / f"{one.name}.svg").read_bytes() for one in report.pictures}
        for table in report.tables:
            write_whole(tables / f"{table.name}.csv", partial(table.data.to_csv, index=False))
            if "tex" in kinds.tables:
                write_text_whole(tables / f"{table.name}.tex", to_latex(table))
        page, text = to_html(report, pictures, kinds), to_markdown(report)
        write_text_whole(html, page)
        write_text_whole(markdown, text)
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written ({error.strerror})") from error
    return [html, markdown, figures, tables]


def _write_picture(picture: Picture, folder: Path, kinds: Files) -> None:
    write_whole(folder / f"{picture.name}.png", partial(save_png, picture.figure))
    picture.figure.set_layout_engine("none")  # it is laid out, which takes as long as drawing
    write_whole(folder / f"{picture.name}.svg", partial(save_svg, picture.figure))
    if "pdf" in kinds.pictures:
        write_whole(folder / f"{picture.name}.pdf", partial(save_pdf, picture.figure))
