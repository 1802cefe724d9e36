"""How every figure looks: colour-blind safe, readable in grey, drawn without a display."""

from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

# Okabe & Ito 2008; yellow is left out, too light for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LineStyle = Literal["-", "--", "-.", ":"]
LINE_STYLES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")
# Neighbours differ in both colour and dash, so that grey print tells them apart.
LINES = tuple(
    (COLORS[(i + 2 * j) % len(COLORS)], LINE_STYLES[(i + j) % len(LINE_STYLES)])
    for j, i in product(range(len(LINE_STYLES)), range(len(COLORS)))
)
RESOLUTION = 150
LONGEST_LABEL = 36


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, at 150 pixels an inch."""
    FigureCanvasAgg(figure)
    figure.savefig(path, format="png", dpi=RESOLUTION)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as an image, shape (height, width, 4): red, green, blue and opacity from 0 to 255."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG: equal figures give equal files."""
    with rc_context({"svg.hashsalt": "initlab"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def save_pdf(figure: Figure, path: Path) -> None:
    """Write a figure as PDF, with text that can be searched: equal figures give equal files."""
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(path, format="pdf", metadata={"CreationDate": None})


def literal(text: str) -> str:
    """Text that matplotlib draws as it is, since a dollar in a name begins no formula; of long text the middle goes."""
    if len(text) > LONGEST_LABEL:
        text = f"{text[: LONGEST_LABEL // 2]}…{text[-LONGEST_LABEL // 2 + 1 :]}"
    return text.replace("$", r"\$")
