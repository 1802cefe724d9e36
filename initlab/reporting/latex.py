"""A report's tables as LaTeX, for papers that use booktabs; wide ones take the package array, long ones longtable."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from initlab.reporting.document import Table

SPECIAL = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "−": r"$-$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "●": r"$\bullet$",
    "○": r"$\circ$",
    "²": r"$^2$",
    "σ": r"$\sigma$",
    "χ": r"$\chi$",
    "…": r"\ldots{}",
    "—": "---",
}
MARKS = re.compile("|".join(map(re.escape, SPECIAL)))
NUMERIC = re.compile(r"[-−<≈]?\s?[\d.]+(e[-+]?\d+)?( %)?( \[[^\]]*\]| of \d+)?|—|∞|never")
# What LaTeX would read as an argument or a star of the command that ends the row above.
ARGUMENTS = ("[", "*")
MOST_ROWS = 40  # that stand on one page
SEPARATED = 3  # letters that the space between two columns takes
CLOSE = r"\setlength{\tabcolsep}{4pt}"  # less space, for what does not fit otherwise
# Sizes, each with the digits that a line of 345 pt has, the text of an article on letter paper.
SIZES = (("\\normalsize", 69), ("\\small", 74), ("\\footnotesize", 81), ("\\scriptsize", 96))


@dataclass(frozen=True)
class _Layout:
    """How a table is set.

    Attributes:
        size: Command for the size of its letters.
        columns: What the columns are, as the argument of `tabular`.
        wrapped: Whether cells have several lines.
    """

    size: str
    columns: str
    wrapped: bool


def to_latex(table: Table) -> str:
    r"""A table of a report as LaTeX with booktabs' rules, a caption and a label: every row of it, as wide as the text.

    What does not fit the line is set smaller, and in cells of several lines; what does not fit a page is a `longtable`.
    The first line names the packages that it takes.

    Example:
        >>> import pandas as pd
        >>> shown = pd.DataFrame({"init": ["he_normal"], "R²": ["0.97 [0.96, 0.98]"]})
        >>> print(to_latex(Table("scores", "Mean.", shown, shown)))
        % \usepackage{booktabs}
        \begin{table}
        \centering
        \caption{Mean.}
        \label{tab:scores}
        \begin{tabular}{lr}
        \toprule
        init & R$^2$ \\
        \midrule
        he\_normal & 0.97 [0.96, 0.98] \\
        \bottomrule
        \end{tabular}
        \end{table}
        <BLANKLINE>

    Args:
        table: With `shown` as a reader sees it; columns of numbers are set to the right.
    """
    shown = table.shown.astype(str)
    layout = _layout(shown)
    head, *rows = (_row(list(cells), layout) for cells in (shown.columns, *shown.to_numpy()))
    long = len(rows) > MOST_ROWS
    packages = [*(["array"] if layout.wrapped else []), "booktabs", *(["longtable"] if long else [])]
    caption, label = f"\\caption{{{escape_latex(' '.join(table.caption.split()))}}}", f"\\label{{tab:{table.name}}}"
    size = [*([layout.size] if layout.size != SIZES[0][0] else []), *([CLOSE] if layout.wrapped else [])]
    top, body = [r"\toprule", head, r"\midrule"], [*rows]
    if long:
        lines = [
            *(["{" + "".join(size)] if size else []),
            f"\\begin{{longtable}}{{{layout.columns}}}",
            rf"{caption} {label} \\",
            *top,
            r"\endfirsthead",
            *top,
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *body,
            r"\end{longtable}" + ("}" if size else ""),
        ]
    else:
        begin, end = f"\\begin{{tabular}}{{{layout.columns}}}", r"\end{tabular}"
        inside = [r"\centering", caption, label, *size, begin, *top, *body, r"\bottomrule", end]
        lines = [r"\begin{table}", *inside, r"\end{table}"]
    return "\n".join([f"% \\usepackage{{{', '.join(packages)}}}", *lines, ""])


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return MARKS.sub(lambda found: SPECIAL[found[0]], text)


def _layout(shown: pd.DataFrame) -> _Layout:
    """The largest letters with which a table fits the line: with cells of one line, or else of several."""
    sides = ["r" if _is_numeric(shown[name]) else "l" for name in shown.columns]
    cells = [[str(name), *shown[name]] for name in shown.columns]
    widest = [max(map(len, column)) for column in cells]
    longest = [max(len(word) for cell in column for word in _words(cell)) for column in cells]
    between = SEPARATED * len(cells)
    for size, letters in SIZES[:2]:
        if sum(widest) + between <= letters:
            return _Layout(size, "".join(sides), wrapped=False)
    size, letters = next((entry for entry in SIZES[1:] if sum(longest) + between <= entry[1]), SIZES[-1])
    spare = max(0, letters - between - sum(longest))
    wanted = [most - least for most, least in zip(widest, longest, strict=True)]
    widths = [least + spare * more / max(sum(wanted), 1) for least, more in zip(longest, wanted, strict=True)]
    scale = min(1.0, (letters - between) / sum(widths)) / letters
    ragged = {"l": r">{\raggedright\arraybackslash}", "r": r">{\raggedleft\arraybackslash}"}
    columns = [f"{ragged[side]}p{{{width * scale:.3f}\\linewidth}}" for side, width in zip(sides, widths, strict=True)]
    return _Layout(size, r"@{}" + "".join(columns) + r"@{}", wrapped=True)


def _words(text: str) -> list[str]:
    """What stays on one line in a cell of several: words, and intervals as wholes."""
    return re.findall(r"\[[^\]]*\]|\S+", text) or [""]


def _row(cells: Sequence[object], layout: _Layout) -> str:
    texts = [escape_latex(str(cell)) for cell in cells]
    if layout.wrapped:
        texts = [re.sub(r"\[[^\]]*\]", lambda found: found[0].replace(" ", "~"), text) for text in texts]
    if texts and texts[0].startswith(ARGUMENTS):
        texts[0] = f"{{{texts[0][0]}}}{texts[0][1:]}"
    return " & ".join(texts) + r" \\"


def _is_numeric(column: pd.Series) -> bool:
    return all(NUMERIC.fullmatch(cell.strip()) for cell in column)
