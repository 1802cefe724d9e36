"""Tables for papers."""

import re

import pandas as pd
import pytest

from initlab.reporting.document import Table
from initlab.reporting.latex import escape_latex, to_latex


def test_a_table_of_words_and_numbers() -> None:
    shown = pd.DataFrame(
        {"init": ["he_normal", "50 % & more"], "test R²": ["0.97 [0.96, 0.98]", "—"], "p": ["< 0.0001", "0.5"]}
    )
    lines = to_latex(Table("scores", "Mean of\nall.", shown, shown)).splitlines()
    assert lines == [
        "% Mean of all.",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"init & test R$^2$ & p \\",
        r"\midrule",
        r"he\_normal & 0.97 [0.96, 0.98] & $<$ 0.0001 \\",
        r"50 \% \& more & --- & 0.5 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize("text", ["a_b", "100 %", "{x}", "#1", "$5", "C:\\dir", "~", "^", "a < b > c", "σ × χ − ∞"])
def test_nothing_special_is_left(text: str) -> None:
    """But in what was put there: commands, and formulas in dollars."""
    escaped = escape_latex(text)
    left = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}|\$[^$]*\$", "", escaped)
    assert not re.search(r"[&%$#_{}~^\\<>]|[^\x00-\x7f]", left), escaped
