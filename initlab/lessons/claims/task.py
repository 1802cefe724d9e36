"""Which initialization is best depends on the task?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import grid_of_standings
from initlab.lessons.reading import named, places_of

SCHEMES: Final = {
    "normal": "normal, σ = 0.05",
    "xavier_normal": "Xavier",
    "he_normal": "He",
    "lecun_normal": "LeCun",
    "orthogonal": "orthogonal",
    "torch_default": "PyTorch's",
}


def judge(tables: Tables) -> Finding:
    """It does not hold if one scheme leads on all tasks; it holds if each is beaten on some."""
    pairs = _all(tables, "pairs")
    standing = {SCHEMES[name]: places_of(pairs, name, "data") for name in SCHEMES}
    tasks = len(next(iter(standing.values())))
    leaders = [name for name, places in standing.items() if set(places.values()) == {"leads"}]
    beaten = {name: [task for task, place in places.items() if place == "beaten"] for name, places in standing.items()}
    never = [name for name in beaten if not beaten[name]]
    counts = pairs.groupby("data")["verdict"].agg(lambda verdicts: int(verdicts.isin(["better", "worse"]).sum()))
    decided = ", ".join(f"{count} on {data}" for data, count in counts.items())
    worse = "; ".join(f"{name} on {named(where)}" for name, where in beaten.items() if where)
    turned = turned_pairs(pairs)
    networks = int(_all(tables, "members").groupby("job")["seed"].nunique().min())
    certainty = f"{networks} networks of each kind, each scheme at its best rate on each task; 95 % intervals."
    seen = [
        f"Of {len(SCHEMES) * (len(SCHEMES) - 1) // 2} pairs of schemes on each task one is better in {decided}.",
        *([f"Worse than another scheme: {worse}."] if worse else []),
        *([f"On no task is there a scheme that is better than {named(never, 'or')}."] if never else []),
    ]
    if turned:
        (first, second), one, other = turned[0]
        count = len({pair for pair, _, _ in turned})
        seen.append(f"Pairs that turn round: {count}. {first} is better than {second} on {one}, and worse on {other}.")
    if leaders:
        where = f"{named(leaders)} is best or equivalent to the best on all {tasks} tasks"
        return Finding("does not hold", seen, certainty, where)
    if not never:
        return Finding("holds", seen, certainty)
    if turned:
        where = (
            "two schemes are compared, as some pairs turn round from task to task; but no scheme is better than "
            f"{named(never, 'or')} on any task"
        )
        return Finding("holds only where", seen, certainty, where)
    where = f"no scheme is better than {named(never, 'or')}, nor is one equivalent to the best on each task"
    return Finding("undecided", seen, certainty, where)


def turned_pairs(pairs: pd.DataFrame) -> list[tuple[tuple[str, str], str, str]]:
    """Pairs of which the first is better on one task and worse on another, with the names of these tasks."""
    decided: list[tuple[tuple[str, str], str]] = []
    for row in pairs[pairs["verdict"].isin(["better", "worse"])].to_dict("records"):
        a, b = SCHEMES[str(row["a"])], SCHEMES[str(row["b"])]
        decided.append(((a, b) if row["verdict"] == "better" else (b, a), str(row["data"])))
    order = list(SCHEMES.values())
    return [
        ((a, b), one, other)
        for (a, b), one in decided
        for reverse, other in decided
        if reverse == (b, a) and order.index(a) < order.index(b)
    ]


def _all(tables: Tables, table: str) -> pd.DataFrame:
    return pd.concat([tables[f"wines.{table}"], tables[f"others.{table}"]], ignore_index=True)


def draw(tables: Tables) -> Figure:
    """How each scheme stands on each task."""
    return grid_of_standings(
        _all(tables, "candidates"), "name", down="candidate", names=SCHEMES, label="task, mean test score"
    )
