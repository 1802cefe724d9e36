"""Which initialization is best depends on the task?"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import grid_of_standings
from initlab.lessons.rates import Row
from initlab.lessons.reading import named, pairs_by, places_of, places_with
from initlab.lessons.scheme_names import scheme_name
from initlab.results.confidence import MARGIN

SCHEMES: Final = {
    "normal": "normal (σ = 0.05)",
    **{name: scheme_name(name) for name in ("xavier_normal", "he_normal", "lecun_normal")},
    **{name: scheme_name(name) for name in ("orthogonal", "torch_default")},
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
    decided = ", ".join(f"{data} {count}" for data, count in counts.items())
    worse = "; ".join(f"{name} on {named(where)}" for name, where in beaten.items() if where)
    turned = turned_pairs(pairs)
    networks = int(_all(tables, "members").groupby("job")["seed"].nunique().min())
    certainty = (
        f"{networks} networks of each kind, each scheme at its best rate on each task; 95 % intervals. In brackets the "
        f"difference of the scores; one of less than {MARGIN:g} does not matter."
    )
    seen = [
        f"Pairs of schemes of which one is better, of {len(list(combinations(SCHEMES, 2)))} on each task: {decided}.",
        *([f"Worse than another scheme: {worse}."] if worse else []),
        *([f"On no task is there a scheme that is better than {named(never, 'or')}."] if never else []),
    ]
    if turned:
        told = "; ".join(
            f"{one} is better than {other} on {named(_sizes(pairs, one, other, 'better'))}, and worse on "
            f"{named(_sizes(pairs, one, other, 'worse'))}"
            for one, other in dict.fromkeys(pair for pair, _, _ in turned)
        )
        seen.append(f"Pairs that turn round: {told}.")
    if leaders:
        where = f"{named(leaders)} is best or equivalent to the best on all {tasks} tasks"
        return Finding("does not hold", seen, certainty, where)
    if not never:
        return Finding("holds", seen, certainty)
    if turned:
        others = named([name for name in beaten if name not in never])
        little = f" (but by less than {MARGIN:g} on one of the two tasks)" if _little(pairs, turned) else ""
        where = (
            f"one chooses among {others}: which of two of them is better can depend on the task{little}. But "
            f"{named(never)} {'is' if len(never) == 1 else 'are'} beaten on none"
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


def _sizes(pairs: pd.DataFrame, one: str, other: str, verdict: str) -> list[str]:
    """The tasks on which a scheme has a verdict beside another, each with the difference of the scores."""
    keys = {words: name for name, words in SCHEMES.items()}
    found = pairs_by(pairs, keys[one], keys[other])
    return [f"{task} ({found[task].difference:+.3f})" for task in places_with(found, verdict)]


def _little(pairs: pd.DataFrame, turned: Sequence[tuple[tuple[str, str], str, str]]) -> bool:
    """Whether each pair that turns round differs by less than matters on one of the two tasks."""
    keys = {words: name for name, words in SCHEMES.items()}
    return all(
        min(abs(pairs_by(pairs, keys[a], keys[b])[task].difference) for task in tasks) < MARGIN
        for (a, b), *tasks in turned
    )


def _all(tables: Tables, table: str) -> pd.DataFrame:
    return pd.concat([tables[f"wines.{table}"], tables[f"others.{table}"]], ignore_index=True)


def name_kind(_: str, row: Row) -> str:
    """What a kind of network is called: `He on spirals`."""
    return f"{SCHEMES[row['candidate']]} on {row['data']}"


def draw(tables: Tables) -> Figure:
    """How each scheme stands on each task."""
    return grid_of_standings(
        _all(tables, "candidates"), "name", down="candidate", names=SCHEMES, label="task, mean test score"
    )
