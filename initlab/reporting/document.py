"""What a report is made of, whatever it is written as."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of points, each a plain sentence or a few."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is.

    Attributes:
        text: One line or several.
        title: What the text is; it is then out of sight until a reader asks for it. Empty: it is in sight.
    """

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Name of its CSV file without `.csv`; no other table of the report has it.
        caption: What the table shows, in plain text.
        data: Every row and column, in numbers, for the CSV file.
        shown: What a reader of the report sees: cells of text, the columns' names as headings.
        folded: Whether the table is out of sight until a reader asks for it.
    """

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: Name of its SVG and PNG files without their endings; no other picture of the report has it.
        caption: What the figure shows and how to read it, in plain text.
        figure: The figure, ready to be saved.
    """

    name: str
    caption: str
    figure: Figure


Part = Paragraph | Points | Code | Table | Picture


@dataclass(frozen=True)
class Section:
    """A section of a report.

    Attributes:
        title: Its heading, in plain text.
        parts: What stands below the heading, in this order.
    """

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """A whole report: the document of a study.

    Attributes:
        title: Its heading, in plain text.
        sections: What stands below the heading, in this order.
        selection: Which part of a study it shows, in plain text, right under the heading; empty: all of it.
    """

    title: str
    sections: Sequence[Section]
    selection: str = ""

    @property
    def pictures(self) -> list[Picture]:
        """All pictures, in the order of the report."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]

    @property
    def tables(self) -> list[Table]:
        """All tables, in the order of the report."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Table)]


@dataclass(frozen=True)
class Files:
    """The kinds of files that a report's pictures and tables are written as, beside the page.

    Attributes:
        pictures: File endings, of svg, png and pdf.
        tables: File endings, of csv and tex.
    """

    pictures: tuple[str, ...] = ("svg", "png")
    tables: tuple[str, ...] = ("csv",)


USUAL_FILES = Files()
