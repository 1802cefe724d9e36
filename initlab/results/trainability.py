"""The trainability map: scores by depth and weight variance, and how deep theory says a network can be trained."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from initlab.results.scores import counted_scores
from initlab.results.study import Study

CURVE_POINTS = 50
DEPTH, SIGMA_W = "model.depth", "init.sigma_w"


@dataclass(frozen=True)
class TrainabilityMap:
    """A study over depths and weight variances.

    Attributes:
        scores: Mean test score over members, those that diverged counting as 0: depths down, σ_w² across.
        metric: What the scores are, a name of `schema.METRICS`.
        theory: Columns `weight_variance`, σ_w², and `depth`: up to which signals keep the difference between inputs,
            six times ξ_c.
        activation: Name of the networks' activation.
        bias_variance: σ_b², the same in all jobs.
    """

    scores: pd.DataFrame
    metric: str
    theory: pd.DataFrame
    activation: str
    bias_variance: float


def trainability_map(study: Study) -> TrainabilityMap | None:
    """The map of a study whose jobs differ in depth and in σ_w of `init=mean_field`, and in nothing else; or None.

    Args:
        study: Finished jobs, as `read_study` returns them.
    """
    swept = study.differing
    if set(swept) != {DEPTH, SIGMA_W} or "null" in set(swept[SIGMA_W]):
        return None
    if min(swept[DEPTH].nunique(), swept[SIGMA_W].nunique()) < 2:
        return None
    # These need torch, which takes seconds to import, and most studies are no map.
    from initlab.activations import ACTIVATIONS, ALIASES, Activation
    from initlab.theory.mean_field import DEPTH_SCALES, mean_field_theory

    cells = pd.DataFrame(
        {
            "depth": swept[DEPTH].astype(int),
            "weight_variance": swept[SIGMA_W].astype(float) ** 2,
            "score": counted_scores(study.members).groupby(study.members["job"]).mean(),
        }
    )
    scores = cells.pivot_table(index="depth", columns="weight_variance", values="score")
    config = study.common
    if config["activation.name"] not in {*ACTIVATIONS, *ALIASES}:  # of a plug-in that this process does without
        return None
    parameters = {
        key.removeprefix("activation."): value
        for key, value in config.items()
        if key.startswith("activation.") and key != "activation.name"
    }
    activation = Activation(str(config["activation.name"]), parameters)
    bias_variance = float(config["init.sigma_b"]) ** 2
    variances = np.linspace(float(scores.columns.min()), float(scores.columns.max()), CURVE_POINTS)
    depths = [
        DEPTH_SCALES * mean_field_theory(activation, float(variance), bias_variance).correlation_depth
        for variance in variances
    ]
    theory = pd.DataFrame({"weight_variance": variances, "depth": depths})
    return TrainabilityMap(scores, str(study.members["metric"].iloc[0]), theory, activation.name, bias_variance)
