"""How every figure looks: drawn without a display, and written as the same file each time."""

import contextlib
import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from matplotlib import rc_context, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

RESOLUTION = 150
LONGEST_LABEL = 36
TITLE = 30, 2  # letters that the title of a panel has side by side, and its lines: more would touch its neighbours


INK, FAINT = "#d5d7e2", "#8b8fa3"  # of text, and of lines beside what is drawn, on a dark page


def dark_figures() -> AbstractContextManager[None]:
    """A context in which figures are drawn for a dark page, whose colour shows through."""
    return rc_context(
        {
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": FAINT,
            "grid.color": FAINT,
        }
    )


def ink() -> str:
    """The colour of text, for lines that are to be as plain on a dark page as on a light one."""
    return str(rcParams["text.color"])


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, at 150 pixels an inch."""
    with _drawn_once(figure):
        figure.set_dpi(RESOLUTION)
        FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as an image, shape (height, width, 4): red, green, blue and opacity from 0 to 255."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG: equal figures give equal files."""
    with _drawn_once(figure), rc_context({"svg.hashsalt": "initlab"}):
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _drawn_once(figure: Figure) -> Iterator[None]:
    """Leave a figure as it is, though a canvas prints it: `savefig` would draw it once more, to lay it out."""
    canvas, dpi = figure.canvas, figure.dpi
    try:
        yield
    finally:
        figure.set_canvas(canvas)
        figure.set_dpi(dpi)


def save_pdf(figure: Figure, path: Path) -> None:
    """Write a figure as PDF, with text that can be searched: equal figures give equal files."""
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})


def in_lines(text: str, letters: int = TITLE[0], lines: int = TITLE[1]) -> str:
    """Text as matplotlib draws it, in lines of so many letters at most: as a title no wider than its panel.

    What does not fit the last line is left out, and three dots say so.
    """
    return "\n".join(map(literal, textwrap.wrap(text, letters, max_lines=lines, placeholder=" …")))


def literal(text: str) -> str:
    """Text that matplotlib draws as it is, since a dollar in a name begins no formula; of long text the middle goes."""
    if len(text) > LONGEST_LABEL:
        text = f"{text[: LONGEST_LABEL // 2]}…{text[-LONGEST_LABEL // 2 + 1 :]}"
    return text.replace("$", r"\$")
