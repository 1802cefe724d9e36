"""He initialization is a robust choice across architectures?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import grid_of_standings
from initlab.lessons.rates import Row
from initlab.lessons.reading import named, pair_of, places_of
from initlab.lessons.scheme_names import scheme_name

NETWORKS: Final = {"mlp": "MLP", "cnn": "CNN", "resnet": "ResNet", "vit": "transformer"}
SCHEMES: Final = {
    name: scheme_name(name) for name in ("he_normal", "xavier_normal", "lecun_normal", "orthogonal", "torch_default")
}


def _all(tables: Tables, table: str) -> pd.DataFrame:
    parts = [tables[f"{key}.{table}"].assign(network=name) for key, name in NETWORKS.items()]
    return pd.concat(parts, ignore_index=True)


def judge(tables: Tables) -> Finding:
    """It holds if He is best or equivalent to the best in each network, and falls if another is better in one."""
    pairs, candidates = _all(tables, "pairs"), _all(tables, "candidates")
    places = places_of(pairs, "he_normal", "network")
    leads, beaten, left_open = (
        [network for network, place in places.items() if place == wanted] for wanted in ("leads", "beaten", "open")
    )
    ranks = candidates.assign(rank=candidates.groupby("network")["score"].rank(ascending=False))
    mean_ranks = ranks.groupby("candidate")["rank"].mean()
    words = ", ".join(f"{name} {mean_ranks[key]:.1f}" for key, name in SCHEMES.items())
    behind = candidates.groupby("network")["score"].transform("max") - candidates["score"]
    furthest = behind.groupby(candidates["candidate"]).max()
    losses = ", ".join(f"{name} {furthest[key]:.3f}" for key, name in SCHEMES.items())
    networks = int(_all(tables, "members").groupby(["network", "job"])["seed"].nunique().min())
    certainty = f"{networks} networks of each kind, each scheme at its best rate; 95 % intervals."
    seen = [
        *([f"He is best, or equivalent to the best, in the {named(leads)}."] if leads else []),
        *(f"Another scheme is better in the {network}: {_best_against_he(tables, network)}." for network in beaten),
        *([f"In the {named(left_open)} it is open between He and another."] if left_open else []),
        f"Where a scheme does worst, its accuracy is below that of the best start there by: {losses}.",
        f"Mean ranks over the {len(places)} networks are {words} (1 is the best).",
    ]
    if len(leads) == len(places):
        return Finding("holds", seen, certainty)
    if beaten:
        return Finding("does not hold", seen, certainty, f"in the {named(beaten)} another start is better")
    return Finding("undecided", seen, certainty, f"in the {named(left_open)} some pairs are not decided")


def _best_against_he(tables: Tables, network: str) -> str:
    """How the best scheme of a network stands to He there, of those that are better."""
    pairs = tables[f"{next(key for key, name in NETWORKS.items() if name == network)}.pairs"]
    others = [pair_of(pairs, name, "he_normal") for name in SCHEMES if name != "he_normal"]
    return max((pair for pair in others if pair.verdict == "better"), key=lambda pair: pair.difference).words


def name_kind(experiment: str, row: Row) -> str:
    """What a kind of network is called: `He in the CNN`."""
    return f"{SCHEMES[row['candidate']]} in the {NETWORKS[experiment]}"


def draw(tables: Tables) -> Figure:
    """How each scheme stands in each kind of network."""
    return grid_of_standings(
        _all(tables, "candidates"), "network", down="candidate", names=SCHEMES, label="network, mean test accuracy"
    )
