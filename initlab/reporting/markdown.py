"""A report as Markdown, with its pictures beside it."""

import re

import pandas as pd

from initlab.reporting.document import Code, Paragraph, Part, Picture, Points, Report, Table

MOST_ROWS = 60  # of a table; its CSV has all


def to_markdown(report: Report) -> str:
    """A report as Markdown text, which refers to the pictures under figures/."""
    lines = [f"# {literal(report.title)}", ""]
    if report.selection:
        lines += [literal(report.selection), ""]
    for section in report.sections:
        lines += [f"## {literal(section.title)}", ""]
        for part in section.parts:
            lines += [*_lines(part), ""]
    return "\n".join(lines)


def literal(text: str) -> str:
    """Text escaped so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*\[\]<>|$#~])", r"\\\1", " ".join(text.split()))


def _lines(part: Part) -> list[str]:
    match part:
        case Paragraph(text):
            return [literal(text)]
        case Points(items):
            return [f"- {literal(item)}" for item in items]
        case Code(text, title):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return [*([literal(title), ""] if title else []), fence, text, fence]
        case Picture(name, caption, _):
            return [f"![{literal(caption)}](figures/{name}.png)", "", literal(caption)]
        case Table(name, caption, _, shown):
            more = f" The first {MOST_ROWS} of {len(shown)} rows." if len(shown) > MOST_ROWS else ""
            return [*_table_lines(shown.head(MOST_ROWS)), "", f"{literal(caption)}{more} (tables/{name}.csv)"]


def _table_lines(shown: pd.DataFrame) -> list[str]:
    """A table of text as lines of Markdown."""
    rows = [[literal(str(cell)) for cell in row] for row in shown.itertuples(index=False, name=None)]
    head = [literal(str(name)) for name in shown.columns]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
