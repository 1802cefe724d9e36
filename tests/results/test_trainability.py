"""The trainability map: cells are means, and the curve is theory's."""

from pathlib import Path

import numpy as np
import pytest

from initlab.figures.trainability import trainability
from initlab.results.study import read_study
from initlab.results.trainability import trainability_map
from tests.helpers import run

SMALL = "model.depth=2,4 init.sigma_w=1.1,1.4 seeds=2 trainer.max_epochs=1 model.width=16 name=study logger=none"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    with pytest.MonkeyPatch.context() as patch:
        assert run(f"experiment=trainability_map {SMALL}", patch, folder) == 0
    return folder / "outputs" / "study"


def test_what_is_typed_comes_in_the_place_of_what_the_experiment_sweeps(study: Path) -> None:
    assert len(list(study.glob("*/members.parquet"))) == 4


def test_cells_and_curve(study: Path) -> None:
    found = read_study(study)
    made = trainability_map(found)
    assert made is not None
    assert list(made.scores.index) == [2, 4]
    np.testing.assert_allclose(made.scores.columns, [1.21, 1.96])
    members = found.members[
        found.members["job"].str.contains("sigma_w=1.1") & found.members["job"].str.contains("depth=4")
    ]
    assert made.scores.loc[4].iloc[0] == pytest.approx(members["test_score"].mean())
    assert (made.activation, made.metric) == ("tanh", "accuracy")
    assert made.bias_variance == pytest.approx(0.05)
    # In the ordered phase c* = 1, so that ξ_c = -1/ln χ₁; 6 ξ_c by another program at σ_w² = 1.4: 64.4.
    depths = np.interp(1.4, made.theory["weight_variance"], made.theory["depth"])
    assert depths == pytest.approx(64.4, rel=0.01)
    panel, bar = trainability(made).axes
    assert panel.get_ylim()[0] < 2 < 4 < panel.get_ylim()[1]
    assert "σ_b² = 0.05" in panel.get_xlabel()
    assert bar.get_ylabel() == "test accuracy"


def test_other_studies_have_none(study: Path) -> None:
    found = read_study(study)
    one = [job for job in found.differing.index if "depth=2" in job]
    part = type(found)(found.members, found.history, found.differing.loc[one], found.configs)
    assert trainability_map(part) is None
