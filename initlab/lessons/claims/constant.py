"""Do equal weights other than zero keep the units of a layer equal as well?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import points_of_networks
from initlab.lessons.reading import named

KEYS: Final = ["init.value", "activation"]
NAMES: Final = {"he_normal": "He's weights"}


def judge(tables: Tables) -> Finding:
    """The claim holds for a value and an activation if the units of each hidden layer stay copies of one."""
    equal, others = tables["equal.signal"], tables["others.signal"]
    most = _hidden(equal).groupby(KEYS, sort=False)["distinct_units_max"].max()
    random = _hidden(others[others["init"] != "zeros"])["distinct_units_min"].min()
    copies = most[most == 1]
    seen = [_of_units(most, random), _of_scores(tables["equal.members"], tables["others.members"])]
    networks = int(min(equal["networks"].min(), others["networks"].min()))
    certainty = f"{networks} networks of each kind, in each hidden layer at all recorded epochs."
    if random == 1:
        return Finding("undecided", seen, certainty, "units from random weights are not told apart either")
    if len(copies) == len(most):
        return Finding("holds", seen, certainty, "the units of a hidden layer stay copies of one")
    if copies.empty:
        return Finding("does not hold", seen, certainty, "the units come to differ with each value and activation")
    kinds = named([f"weights are {value:g} with {activation}" for value, activation in copies.index], "or")
    return Finding("holds only where", seen, certainty, kinds)


def draw(tables: Tables) -> Figure:
    """The test score of every network, by its start and activation."""
    equal, others = tables["equal.members"], tables["others.members"]
    starts = pd.concat(
        [
            others[others["init"] == "zeros"].assign(start="zeros"),
            equal.assign(start="all " + equal["init.value"].map("{:g}".format)),
            others[others["init"] != "zeros"].assign(start="random (He)"),
        ]
    )
    return points_of_networks(
        starts, "start", "test_score", by="activation", labels=("weights at the start", "test accuracy")
    )


def _hidden(signal: pd.DataFrame) -> pd.DataFrame:
    hidden: pd.DataFrame = signal[signal["position"] < signal["position"].max()]
    return hidden


def _of_units(most: pd.Series, random: float) -> str:
    against = f"From random weights at least {random:g} units of a hidden layer respond differently"
    if (most == 1).all():
        values = named([f"{value:g}" for value in dict.fromkeys(most.index.get_level_values(0))], "or")
        return (
            f"{against}; from weights that are all {values} it is one at every recorded epoch, whatever the activation."
        )
    rows = most.rename("count").reset_index().to_numpy()
    each = named([f"{count:g} from {value:g} with {name}" for value, name, count in rows], "and")
    return f"{against}; from equal weights at most {each}."


def _of_scores(equal: pd.DataFrame, others: pd.DataFrame) -> str:
    best = equal.groupby(KEYS, sort=False)["test_score"].mean().sort_values().index[-1]
    value, activation = best
    rows = equal[(equal["init.value"] == value) & (equal["activation"] == activation)]
    beside = others[others["activation"] == activation].groupby("init", sort=False)["test_score"].mean()
    words = named([f"{score:.3f} from {NAMES.get(str(name), name)}" for name, score in beside.items()], "and")
    return (
        f"Of equal weights, {value:g} with {activation} learns most: the mean test accuracy is "
        f"{rows['test_score'].mean():.3f}, beside {words}. {_beside_zeros(equal, others)}"
    )


def _beside_zeros(equal: pd.DataFrame, others: pd.DataFrame) -> str:
    """With which activations equal weights learn more than zeros, in the mean of the best value, and with which not."""
    values = equal.groupby(KEYS, sort=False)["test_score"].mean().groupby("activation", sort=False).max()
    zeros = others[others["init"] == "zeros"].groupby("activation", sort=False)["test_score"].mean()
    more: list[str] = []
    no_more: list[str] = []
    for name in (str(name) for name in values.index if name in zeros.index):
        own, of_zeros = float(values[name]), float(zeros[name])
        (more if own > of_zeros else no_more).append(f"{name} ({own:.3f}, zeros {of_zeros:.3f})")
    said = [
        *([f"At the best value they do better than zeros with {named(more)}"] if more else []),
        *([f"no value does better than zeros with {named(no_more)}"] if no_more else []),
    ]
    sentence = "; ".join(said)
    return f"{sentence[:1].upper()}{sentence[1:]}."
