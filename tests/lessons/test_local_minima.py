"""A bad start ends in a bad local minimum?"""

import math

import pandas as pd
import pytest

from initlab.lessons.claims.local_minima import draw, judge
from initlab.lessons.finding import Answer


def tables(small: float, large: float) -> dict[str, pd.DataFrame]:
    """The final training losses of ten networks from small weights and of ten from large ones; NaN: diverged."""
    rows = [
        {"job": sigma, "init.std": sigma, "train_loss": loss, "epochs": 200}
        | {"status": "diverged" if math.isnan(loss) else "finished"}
        for sigma, loss in (("0.01", small), ("0.1", 0.01), ("1", large))
        for _ in range(10)
    ]
    return {"trained.members": pd.DataFrame(rows), "trained.candidates": pd.DataFrame({"job": ["0.01", "0.1", "1"]})}


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        (1.09, math.nan, "does not hold"),
        (0.5, math.nan, "holds only where"),
        (0.5, 0.4, "holds"),
        (0.01, 0.01, "undecided"),
    ],
)
def test_the_verdict_follows_where_networks_end(small: float, large: float, expected: Answer) -> None:
    made = tables(small, large)
    finding = judge(made)
    assert finding.answer == expected
    if expected == "does not hold":
        assert finding.where == (
            "no start leaves most of its networks between plateau and bottom; where most fail, they are still on the "
            "plateau after 200 epochs (σ = 0.01) or diverged (σ = 1)"
        )
    if expected == "holds only where":
        assert finding.where == "σ is 0.01"
        assert [label.get_text() for label in draw(made).axes[0].get_xticklabels()] == ["0.01", "0.1", "1"]
