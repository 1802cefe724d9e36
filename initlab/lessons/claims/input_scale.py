"""Inputs that are not scaled undo a good initialization?"""

from collections.abc import Hashable, Mapping
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import points_of_networks
from initlab.lessons.rates import Row
from initlab.lessons.reading import named, pair_of
from initlab.lessons.scheme_names import scheme_name

SCHEMES: Final = {name: scheme_name(name) for name in ("he_normal", "xavier_normal", "lsuv", "data_dependent")}
INPUTS: Final = {"True": "scaled inputs", "False": "raw inputs"}


def judge(tables: Tables) -> Finding:
    """A start is undone if the interval on raw inputs lies below that on scaled ones."""
    candidates, pairs = tables["trained.candidates"], tables["trained.pairs"]
    rows = {(str(row["init"]), str(row["data.standardize"])): row for row in candidates.to_dict("records")}
    undone = [name for name in SCHEMES if rows[name, "False"]["score_high"] < rows[name, "True"]["score_low"]]
    safe = [name for name in SCHEMES if rows[name, "False"]["score_low"] > rows[name, "True"]["score"] - 0.05]
    settings = {str(row["data.standardize"]): row["setting"] for row in candidates.to_dict("records")}
    back = pair_of(pairs, "data_dependent", "he_normal", setting=settings["False"])
    networks = int(tables["trained.members"].groupby("job")["seed"].nunique().min())
    certainty = f"{networks} networks of each kind, at the rate that is best on validation rows; 95 % intervals."
    seen = [
        "Test accuracy on scaled inputs, and on raw ones: "
        + "; ".join(
            f"{name} {_with_interval(rows[init, 'True'])}, and {_with_interval(rows[init, 'False'])}"
            for init, name in SCHEMES.items()
        )
        + ".",
        f"From He's weights the best learning rate is {rows['he_normal', 'True']['rate']:g} on scaled inputs and "
        f"{rows['he_normal', 'False']['rate']:g} on raw ones.",
        f"On raw inputs, the data-dependent scheme minus He: {back.difference:+.3f} [{back.low:+.3f}, "
        f"{back.high:+.3f}], {back.verdict}.",
    ]
    if len(undone) == len(SCHEMES):
        return Finding(
            "holds", seen, certainty, "for the schemes that look at the inputs (LSUV and data-dependent), too"
        )
    if len(undone) + len(safe) < len(SCHEMES):
        return Finding("undecided", seen, certainty, "some of these intervals overlap")
    if not undone:
        return Finding("does not hold", seen, certainty, "at its best rate each scheme does as well on raw inputs")
    where = f"the start is {named([SCHEMES[name] for name in undone], 'or')}"
    return Finding("holds only where", seen, certainty, where)


def _with_interval(row: Mapping[Hashable, Any]) -> str:
    return f"{row['score']:.3f} [{row['score_low']:.3f}, {row['score_high']:.3f}]"


def chosen_networks(tables: Tables) -> pd.DataFrame:
    """All networks at the best rate of their kind, with columns start and inputs in words."""
    members = tables["trained.members"]
    rows = members[members["job"].isin(tables["trained.candidates"]["job"])]
    found = rows.assign(
        start=rows["init"].map(SCHEMES),
        inputs=rows["data.standardize"].astype(str).map(INPUTS),
        test_score=rows["test_score"].fillna(0.0),
    )
    order = list(SCHEMES.values())
    return found.sort_values("start", key=lambda start: start.map(order.index), kind="stable")


def name_kind(_: str, row: Row) -> str:
    """What a kind of network is called: `He on raw inputs`."""
    return f"{SCHEMES[row['init']]} on {INPUTS[str(row['data.standardize'])]}"


def draw(tables: Tables) -> Figure:
    """Each network's accuracy above its start."""
    return points_of_networks(
        chosen_networks(tables), "start", "test_score", by="inputs", labels=("start", "test accuracy (diverged: 0)")
    )
