"""Too small weights: gradients vanish, learning is slow or never starts?"""

import pandas as pd
import pytest

from initlab.lessons.claims.too_small import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers, pairs

STDS = (0.01, 0.1, 0.18)


def tables(shallow: tuple[str, str], deep: tuple[str, str], gradient: float = 1e-6) -> dict[str, pd.DataFrame]:
    """Verdicts of σ = 0.01 and 0.1 at 3 and 30 layers, and the gradient that the smallest has."""
    given = {3: shallow, 30: deep}
    parts = [
        pairs(
            *((f"init.std={std}", "init.std=0.18", verdict, -0.1) for std, verdict in zip(STDS, found, strict=False)),
            setting=f"model.depth={depth}",
        )
        for depth, found in given.items()
    ]
    start = [
        {"model.depth": depth, "init.std": std, "weight_gradient_norm": gradient if std == 0.01 else 1.0}
        for depth in given
        for std in STDS
    ]
    candidates = [
        {"model.depth": depth, "init.std": std, "score": 0.9, "score_low": 0.8, "score_high": 0.95}
        | {"reached": 10 * (std == 0.18), "seeds": 10, "threshold": 0.95, "epochs": 4.0}
        for depth in given
        for std in STDS
    ]
    return {
        "trained.pairs": pd.concat(parts),
        "trained.candidates": pd.DataFrame(candidates),
        "start.signal": layers(start, "weight_gradient_norm"),
    }


WORSE, FAIR = ("worse", "worse"), ("equivalent", "equivalent")


@pytest.mark.parametrize(
    ("shallow", "deep", "gradient", "expected"),
    [
        (("worse", "equivalent"), WORSE, 1e-6, "holds"),
        (FAIR, WORSE, 1e-6, "holds only where"),
        (FAIR, FAIR, 1e-6, "does not hold"),
        (FAIR, ("undecided", "equivalent"), 1e-6, "undecided"),
        (WORSE, FAIR, 1e-6, "undecided"),
        (WORSE, WORSE, 2.0, "undecided"),
    ],
)
def test_the_verdict_follows_gradient_and_pairs(
    shallow: tuple[str, str], deep: tuple[str, str], gradient: float, expected: Answer
) -> None:
    assert judge(tables(shallow, deep, gradient)).answer == expected


def test_it_says_where_it_turns() -> None:
    finding = judge(tables(("worse", "equivalent"), WORSE))
    assert finding.where == "too small is σ = 0.01 at 3 layers and 0.1 at 30 layers, and whatever is smaller"
    assert "undecided" not in finding.certainty
    deep = judge(tables(("equivalent", "undecided"), WORSE))
    assert deep.where.startswith("the net is 30 layers deep: too small is σ = 0.1 at 30 layers")
    assert deep.certainty.endswith("Whether σ = 0.1 at 3 layers is worse than σ = 0.18 is undecided.")
    assert (
        "is 0.90 from σ = 0.01, 0.90 from σ = 0.1 and 0.90 from σ = 0.18; of 10 networks 0, 0 and 10" in finding.seen[1]
    )
    assert finding.seen[1].endswith(" reach 95 % on validation rows.")


def test_the_picture_has_a_line_for_each_depth() -> None:
    figure = draw(tables(WORSE, WORSE))
    assert figure.axes[0].get_legend_handles_labels()[1] == ["3 layers", "30 layers"]
