"""A report's tables as LaTeX, for papers that use the package booktabs."""

import re

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
    "●": r"$\bullet$",
    "○": r"$\circ$",
    "²": r"$^2$",
    "σ": r"$\sigma$",
    "χ": r"$\chi$",
    "…": r"\ldots{}",
    "—": "---",
}
MARKS = re.compile("|".join(map(re.escape, SPECIAL)))
NUMERIC = re.compile(r"[-−<≈]?\s?[\d.]+(e[-+]?\d+)?( \[[^\]]*\]| of \d+)?|—|∞|never")


def to_latex(table: Table) -> str:
    r"""A table of a report as a `tabular` with booktabs' rules, every row of it, and its caption as a comment.

    Example:
        >>> import pandas as pd
        >>> shown = pd.DataFrame({"init": ["he_normal"], "R²": ["0.97 [0.96, 0.98]"]})
        >>> print(to_latex(Table("scores", "Mean.", shown, shown)))
        % Mean.
        \begin{tabular}{lr}
        \toprule
        init & R$^2$ \\
        \midrule
        he\_normal & 0.97 [0.96, 0.98] \\
        \bottomrule
        \end{tabular}
        <BLANKLINE>

    Args:
        table: With `shown` as a reader sees it; columns of numbers are set to the right.
    """
    shown = table.shown.astype(str)
    sides = "".join("r" if _is_numeric(shown[name]) else "l" for name in shown.columns)
    head, *rows = (_row(cells) for cells in (shown.columns, *shown.itertuples(index=False, name=None)))
    caption = " ".join(table.caption.split())
    lines = [f"% {caption}", f"\\begin{{tabular}}{{{sides}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", ""])


def escape_latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return MARKS.sub(lambda found: SPECIAL[found[0]], text)


def _row(cells: object) -> str:
    return " & ".join(escape_latex(str(cell)) for cell in cells) + r" \\"  # type: ignore[attr-defined]


def _is_numeric(column: pd.Series) -> bool:
    return all(NUMERIC.fullmatch(cell.strip()) for cell in column)
