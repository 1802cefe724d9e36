"""Careful initialization makes convergence faster?"""

import pandas as pd
import pytest

from initlab.lessons.claims.speed import draw, judge
from initlab.lessons.finding import Answer

HE = {2: 2.0, 8: 5.0}  # epochs


def candidate(job: str, depth: int, epochs: float, spread: float) -> dict[str, object]:
    ends = {"epochs": epochs, "epochs_low": epochs - spread, "epochs_high": epochs + spread}
    return {"job": job, "model.depth": depth, "seeds": 20, "reached": 0, **ends}


def tables(other: dict[int, float], spread: float) -> dict[str, pd.DataFrame]:
    """Epochs of He's weights, and of others by depth."""
    careful = [candidate(f"he {depth}", depth, epochs, 0) for depth, epochs in HE.items()]
    careless = [{**candidate(f"{depth}", depth, epochs, spread), "init.std": 0.1} for depth, epochs in other.items()]
    made = {"careful.candidates": pd.DataFrame(careful), "careless.candidates": pd.DataFrame(careless)}
    for part in ("careful", "careless"):
        jobs = made[f"{part}.candidates"][["job", "epochs"]].rename(columns={"epochs": "epochs_to_threshold"})
        made |= {f"{part}.members": jobs, f"{part}.history": pd.DataFrame({"epoch": range(16)})}
    return made


@pytest.mark.parametrize(
    ("other", "spread", "expected"),
    [
        ({2: 6.0, 8: float("inf")}, 0, "holds"),
        ({2: 2.0, 8: 9.0}, 1, "holds only where"),
        ({2: 2.0, 8: 4.0}, 0, "does not hold"),
        ({2: 4.0, 8: 9.0}, 3, "undecided"),
    ],
)
def test_the_verdict_follows_the_intervals(other: dict[int, float], spread: float, expected: Answer) -> None:
    made = tables(other, spread)
    finding = judge(made)
    assert finding.answer == expected
    if expected == "holds only where":
        assert finding.where == "the net has 8 hidden layers; with 2, normal weights of σ = 0.1 arrive as fast"
        assert [axes.get_title() for axes in draw(made).axes] == ["2 hidden layers", "8 hidden layers"]
