"""Where the best learning rate is the smallest or largest one tried, each lesson says so."""

import pandas as pd

from initlab.lessons.rates import at_the_end


def candidates(*ends: bool, setting: str = "") -> pd.DataFrame:
    """Kinds of networks a, b, c …, each with whether its best rate is the last tried."""
    names = "abcdefgh"[: len(ends)]
    rows = [
        {"candidate": name, "setting": setting, "rate": 0.3, "at_edge": end}
        for name, end in zip(names, ends, strict=True)
    ]
    return pd.DataFrame(rows)


def test_kinds_are_named_with_their_setting_and_rate() -> None:
    said = at_the_end({"trained.candidates": candidates(True, False, setting="model.depth=4")})
    assert said == (
        " The smallest or largest learning rate tried is the best for a at 4 layers (0.3); beyond it they may do "
        "better."
    )


def test_kinds_of_several_experiments_are_told_apart() -> None:
    said = at_the_end({"wide.candidates": candidates(True), "widest.candidates": candidates(True)})
    assert "the best for a in wide (0.3) and a in widest (0.3);" in said


def test_of_many_kinds_it_is_said_how_many() -> None:
    said = at_the_end({"trained.candidates": candidates(*[True] * 5, False)})
    assert "the best for 5 of 6 kinds of networks, among them a (0.3), b (0.3), c (0.3) and d (0.3);" in said


def test_nothing_is_said_where_other_rates_lie_on_both_sides() -> None:
    assert at_the_end({"trained.candidates": candidates(False, False)}) == ""
    assert at_the_end({"trained.pairs": candidates(True)}) == ""
