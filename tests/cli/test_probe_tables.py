"""The probe's tables fit the terminal, and show what was measured."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from initlab.cli.probe_tables import EXPENDABLE, NUMBERS, layer_table


def signal_of(layers: int, **columns: float) -> pd.DataFrame:
    """Two members; a layer's numbers are its position, unless they are given; saturated is null, as for ReLU."""
    rows = [
        {"position": place, "layer": f"hidden.{place}", "member": member}
        | dict.fromkeys(NUMBERS.values(), place / 1000 + member)
        | {"dead": 0.25, "saturated": np.nan}
        | columns
        for member in (0, 1)
        for place in range(1, layers + 1)
    ]
    return pd.DataFrame(rows)


def drawn(signal: pd.DataFrame, width: int) -> list[str]:
    out = io.StringIO()
    table = layer_table("he, 2 seeds", signal, width=width, all_in="tables/layers.csv")
    Console(file=out, width=width).print(table)
    return out.getvalue().splitlines()


def words(signal: pd.DataFrame, width: int) -> list[str]:
    """The titles below which there is a line."""
    lines = drawn(signal, width)
    return lines[next(place for place, line in enumerate(lines) if "──" in line) - 1].split()


def test_whole_columns_are_left_out_until_the_rest_fits() -> None:
    all_of_it = ["layer", "activation²", "theory", "gradient²", "theory", "correlation", "theory", "dead"]
    assert words(signal_of(9), 160) == all_of_it  # what is null everywhere has no column
    assert words(signal_of(9, saturated=0.5), 160) == [*all_of_it, "saturated"]
    shown = [len(words(signal_of(9, saturated=0.5), width)) for width in range(30, 130)]
    assert shown == sorted(shown)
    assert set(shown) == set(range(3, 10))
    for width in range(41, 130):
        lines = drawn(signal_of(30, saturated=0.5), width)
        assert max(map(len, lines)) <= width
        assert "…" not in "".join(lines)
        assert any(line.startswith(" 30  hidden.30 ") for line in lines)
    assert {title for title in (*NUMBERS, "dead", "saturated") if title not in EXPENDABLE} == {
        "pre-\nactivation²", "gradient²"
    }  # fmt: skip


def test_whether_units_are_saturated_is_seen_in_80_columns() -> None:
    signal = signal_of(9, saturated=0.5).assign(
        pre_second_moment=1.2345e-7, gradient_second_moment=1.2345e-7, predicted_gradient_second_moment=1.2345e-7
    )
    assert words(signal, 80)[-1] == "saturated"
    assert "theory" in words(signal, 80)


def test_it_is_said_what_is_left_out() -> None:
    assert drawn(signal_of(30), 160)[-1].strip() == "12 of 30 layers; all in tables/layers.csv"
    assert drawn(signal_of(9), 75)[-1].strip() == "more columns in a wider terminal; all in tables/layers.csv"
    assert not any("layers.csv" in line for line in drawn(signal_of(9), 160))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.012345, "0.0123"), (1e-7, "1.0e-07"), (np.inf, "inf"), (12345.0, "1.2e+04")]
)
def test_means_over_members_in_three_digits(value: float, text: str) -> None:
    (row,) = [line for line in drawn(signal_of(1, pre_second_moment=value), 160) if "hidden.1" in line]
    assert row.split() == ["1", "hidden.1", text, *["0.501"] * 5, "25%"]
