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
    """A list of plain sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text to be copied as it is; with a title it is out of sight until a reader asks for it."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Of its CSV file.
        caption: What it shows; plain text.
        data: Every row and column, in numbers.
        shown: What a reader sees: text, one column a heading.
        folded: Out of sight until a reader asks for it.
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
        name: Of its SVG and PNG files.
        caption: What it shows and how to read it; plain text.
        figure: Drawn.
    """

    name: str
    caption: str
    figure: Figure


Part = Paragraph | Points | Code | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    sections: Sequence[Section]

    @property
    def pictures(self) -> list[Picture]:
        """All figures."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Table)]
