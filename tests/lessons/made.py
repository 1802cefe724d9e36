"""Tables of lessons that are made, not measured: what a verdict says of them is known."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd


def pairs(*rows: tuple[str, str, str, float], **where: object) -> pd.DataFrame:
    """A table `pairs`: of each row the candidates a and b, the verdict of a, and the difference of their scores."""
    width = 0.01
    return pd.DataFrame(
        [
            {"data": "made", "metric": "accuracy", "setting": "", **where}
            | {"a": a, "b": b, "verdict": verdict, "difference": difference}
            | {"low": difference - width, "high": difference + width, "seeds": 10, "seeds_needed": float("nan")}
            for a, b, verdict, difference in rows
        ]
    )


def layers(rows: Sequence[Mapping[str, Any]], *columns: str, networks: int = 10) -> pd.DataFrame:
    """A table `signal`: rows with their keys, and columns whose smallest and largest over networks are the mean.

    Args:
        rows: By column, the values of each row; `job`, `epoch`, `position`, `layer` and `units` have usual ones.
        *columns: Those that get a smallest and a largest.
        networks: How many each row is of.
    """
    usual = {"job": "made", "epoch": 0, "position": 1, "layer": "hidden.0", "units": 64, "networks": networks}
    table = pd.DataFrame([{**usual, **row} for row in rows])
    for column in columns:
        for end in ("min", "max"):
            if f"{column}_{end}" not in table:
                table[f"{column}_{end}"] = table[column]
    return table


def members(rows: Sequence[Mapping[str, Any]], *, networks: int = 10) -> pd.DataFrame:
    """A table `members`: of each row as many networks, finished unless they have no score.

    Args:
        rows: By column, the values that the networks of a kind share; `test_score` may be a sequence, one a network.
        networks: How many of each kind.
    """
    found = []
    for place, row in enumerate(rows):
        scores = row["test_score"]
        each = list(scores) if isinstance(scores, Sequence) else [scores] * networks
        found += [
            {"job": f"job{place}", **row, "seed": seed, "test_score": score}
            | {"status": "finished" if score == score else "diverged"}
            for seed, score in enumerate(each)
        ]
    return pd.DataFrame(found)
