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
    lines = to_latex(Table("scores", "Mean of\nall: ● is best.", shown, shown)).splitlines()
    assert lines == [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        r"\caption{Mean of all: $\bullet$ is best.}",
        r"\label{tab:scores}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"init & test R$^2$ & p \\",
        r"\midrule",
        r"he\_normal & 0.97 [0.96, 0.98] & $<$ 0.0001 \\",
        r"50 \% \& more & --- & 0.5 \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_percentages_stand_to_the_right_like_other_numbers() -> None:
    shown = pd.DataFrame({"source": ["seed", "initializer"], "share": ["61 % [58 %, 64 %]", "< 1 % [0 %, 2 %]"]})
    text = to_latex(Table("shares", "Shares.", shown, shown))
    assert r"\begin{tabular}{lr}" in text
    assert r"seed & 61 \% [58 \%, 64 \%] \\" in text


@pytest.mark.parametrize(("cell", "written"), [("[0, 1]", "{[}0, 1]"), ("*best", "{*}best")])
def test_a_first_cell_is_no_argument_of_the_row_above(cell: str, written: str) -> None:
    shown = pd.DataFrame({"range": [cell, cell], "init": ["he", "[zeros]"]})
    text = to_latex(Table("ranges", "Ranges.", shown, shown))
    assert text.count(f"\n{written} & ") == 2
    assert r"& [zeros] \\" in text


def test_a_wide_table_fits_the_line_in_cells_of_several_lines() -> None:
    interval = "0.972 [0.958, 0.986]"
    headings = ("test accuracy", "median", "interquartile mean", "test loss")
    shown = pd.DataFrame({"candidate": ["xavier_normal"], **{name: [interval] for name in headings}})
    lines = to_latex(Table("candidates", "Mean.", shown, shown)).splitlines()
    assert lines[0] == r"% \usepackage{array, booktabs}"
    assert lines[5] == r"\scriptsize"
    assert lines[6] == r"\setlength{\tabcolsep}{4pt}"
    widths = [float(width) for width in re.findall(r"p\{([\d.]+)\\linewidth\}", lines[7])]
    assert len(widths) == 5
    assert sum(widths) < 1 - 4 * 0.02  # the rest is the space between the columns
    assert r"xavier\_normal & 0.972 [0.958,~0.986] & " in "\n".join(lines)


def test_a_long_table_goes_on_on_the_next_page() -> None:
    shown = pd.DataFrame({"init": [f"s{k}" for k in range(41)], "score": ["0.5"] * 41})
    lines = to_latex(Table("jobs", "All.", shown, shown)).splitlines()
    assert lines[:4] == [
        r"% \usepackage{booktabs, longtable}",
        r"\begin{longtable}{lr}",
        r"\caption{All.} \label{tab:jobs} \\",
        r"\toprule",
    ]
    assert lines.count(r"init & score \\") == 2
    assert lines[-2:] == [r"s40 & 0.5 \\", r"\end{longtable}"]
    assert "longtable" not in to_latex(Table("jobs", "All.", shown, shown.head(40)))


@pytest.mark.parametrize("text", ["a_b", "100 %", "{x}", "#1", "$5", "C:\\dir", "~", "^", "a < b > c", "σ × χ − ∞"])
def test_nothing_special_is_left(text: str) -> None:
    """But in what was put there: commands, and formulas in dollars."""
    escaped = escape_latex(text)
    left = re.sub(r"\\[&%$#_{}]|\\text\w+\{\}|\$[^$]*\$", "", escaped)
    assert not re.search(r"[&%$#_{}~^\\<>]|[^\x00-\x7f]", left), escaped
