"""Writing a report: report.html, report.md, every figure as SVG and PNG, every table as CSV."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from initlab.base.errors import UserError
from initlab.base.files import write_whole
from initlab.figures.style import save_png, save_svg
from initlab.reporting.document import Report
from initlab.reporting.html import to_html
from initlab.reporting.markdown import to_markdown


def write_report(report: Report, folder: Path) -> Sequence[Path]:
    """Write a report, and say which files.

    Raises:
        UserError: they cannot be written, as the disk is full, say.
    """
    html, markdown = folder / "report.html", folder / "report.md"
    figures, tables = folder / "figures", folder / "tables"
    try:
        pictures = {}
        for picture in report.pictures:
            write_whole(figures / f"{picture.name}.png", partial(save_png, picture.figure))
            picture.figure.set_layout_engine("none")  # it is laid out, which takes as long as drawing
            write_whole(figures / f"{picture.name}.svg", partial(save_svg, picture.figure))
            pictures[picture.name] = (figures / f"{picture.name}.svg").read_bytes()
        for table in report.tables:
            write_whole(tables / f"{table.name}.csv", partial(table.data.to_csv, index=False))
        page, text = to_html(report, pictures), to_markdown(report)
        write_whole(html, lambda path: path.write_text(page, encoding="utf-8"))
        write_whole(markdown, lambda path: path.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written ({error.strerror})") from error
    return [html, markdown, figures, tables]
