"""A report as one HTML file: no script, nothing to load, everything escaped."""

import base64
from collections.abc import Sequence
from importlib.resources import files

import jinja2

from initlab.reporting.cells import CONDITION_HEADINGS
from initlab.reporting.document import USUAL_FILES, Files, Picture, Report, Table

MOST_ROWS = 60  # of a table; its CSV has all
LEAST_SCALE = 60  # pixels an inch of a figure, below which its words are too small: it is then scrolled, not shrunk


def to_html(report: Report, pictures: dict[str, bytes], files_beside: Files = USUAL_FILES) -> str:
    """A report as the text of an HTML page.

    Args:
        report: As `compose_report` returns it.
        pictures: SVG of each of its pictures, by `Picture.name`; it becomes a part of the page.
        files_beside: The kinds of files that stand beside the page, which it links to.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.tests["kind"] = lambda part, name: type(part).__name__ == name
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))
    # Within an image no script of an SVG would run, and the names in one do not meet those of another.
    sources = {name: f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}" for name, svg in pictures.items()}
    return template.render(
        report=report,
        sources=sources,
        sizes={picture.name: _size(picture) for picture in report.pictures},
        most_rows=MOST_ROWS,
        conditions=_condition_of,
        picture_kinds=files_beside.pictures,
        table_kinds=files_beside.tables,
    )


def _size(picture: Picture) -> str:
    """How wide a figure is on the page: as it was drawn, at 96 pixels an inch, or less, down to what can be read."""
    inches = picture.figure.get_figwidth()
    return f"max-width: {96 * inches:.0f}px; min-width: {LEAST_SCALE * inches:.0f}px"


def _condition_of(table: Table, row: Sequence[str]) -> tuple[str, ...]:
    """The cells of a row that tell its condition: the page sets a new condition off."""
    return tuple(cell for name, cell in zip(table.shown.columns, row, strict=True) if name in CONDITION_HEADINGS)
