"""Too large weights: gradients explode, training diverges?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import draw_along
from initlab.lessons.reading import hidden_layers, in_percent, named, pair_of

GRADIENT: Final = "weight_gradient_norm"
LEARNED: Final = 0.2  # twice the share of the commonest of ten classes
RATE: Final = 0.05  # of plain gradient descent, in the lesson's command


def judge(tables: Tables) -> Finding:
    """The claim holds if larger weights have more gradient, and lose all networks with descent and with Adam.

    With both a network is lost if it diverges or learns nothing; with Adam those at the best rate of each σ count.
    """
    pairs, members = tables["adam.pairs"], tables["adam.members"]
    lost, adam = _lost(tables["descent.members"]), _lost(_at_best(tables))
    depths, stds = (sorted(lost[key].unique()) for key in ("model.depth", "init.std"))
    usual, most = stds[0], stds[-1]
    first = {
        (depth, std): hidden_layers(tables["start.signal"], **{"model.depth": depth, "init.std": std}).iloc[0]
        for depth in depths
        for std in (usual, most)
    }
    shares, adams = (
        {(row["model.depth"], row["init.std"]): row["lost"] for _, row in part.iterrows()} for part in (lost, adam)
    )
    names = [f"init.std={std:g}" for std in (most, usual)]
    worse = {depth: pair_of(pairs, *names, setting=f"model.depth={depth}") for depth in depths}
    diverged = int((members["status"] == "diverged").sum())
    middle = depths[len(depths) // 2]
    descent = named([f"{in_percent(shares[depth, most])} at {depth} layers" for depth in depths])
    before = named([f"{in_percent(shares[depth, usual])}" for depth in depths])
    ends = named([f"{worse[depth].difference:+.2f} at {depth} layers ({worse[depth].verdict})" for depth in depths])
    hit = [
        f"{in_percent(adams[depth, std])} at {depth} layers from σ = {std:g}"
        for depth in depths
        for std in stds[::-1]
        if round(adams[depth, std], 2)
    ]
    seen = [
        f"At {middle} layers the gradient of the first layer's weights has a length of "
        f"{first[middle, usual][GRADIENT]:.1g} from σ = {usual:g}, and of {first[middle, most][GRADIENT]:.1g} from "
        f"σ = {most:g}.",
        f"Plain gradient descent loses {descent} from σ = {most:g}; from σ = {usual:g} it loses {before}.",
        f"Of all {len(members)} networks with Adam, at all rates, {diverged} diverge. At its best rate Adam loses "
        f"{f'{named(hit)}; elsewhere it loses none' if hit else 'none'}.",
        f"With Adam test accuracy from σ = {most:g} minus that from σ = {usual:g} is {ends}.",
    ]
    seeds = int(pairs["seeds"].min())
    certainty = (
        f"{seeds} networks of each kind; verdicts are at the 95 % level, with Adam each σ at its best rate. Lost is, "
        f"with both, a network that diverges or ends at a test accuracy of {LEARNED:g} or less."
    )
    if any(first[depth, most][f"{GRADIENT}_min"] <= first[depth, usual][f"{GRADIENT}_max"] for depth in depths):
        return Finding("undecided", seen, certainty, "the gradient is not larger in all networks")
    if not any(found[depth, most] for found in (shares, adams) for depth in depths):
        return Finding("does not hold", seen, certainty, "gradients explode, but no network is lost")
    if not _tells(shares, depths, usual, most):
        return Finding(
            "undecided", seen, certainty, "plain gradient descent does not tell the two σ apart at each depth"
        )
    if _tells(adams, depths, usual, most):
        return Finding("holds", seen, certainty)
    if all(adams[depth, most] >= 0.5 for depth in depths):
        return Finding("undecided", seen, certainty, "with Adam only some networks are lost, but so at each depth")
    behind = [depth for depth in depths if worse[depth].verdict == "worse"]
    rest = {depth: adams[depth, most] for depth in depths if adams[depth, most]}
    return Finding("holds only where", seen, certainty, _where(rest, behind, depths, (usual, most)))


def _where(rest: dict[float, float], behind: list[float], depths: list[float], stds: tuple[float, float]) -> str:
    """The condition, where Adam does not lose all networks of the large σ.

    Args:
        rest: By depth, the share that it loses, where it loses any.
        behind: The depths at which the large σ is worse with it.
        depths: All of them.
        stds: The usual σ and the large one.
    """
    some = [f"{in_percent(share)} of them at {depth} layers" for depth, share in rest.items()]
    where = (
        f"plain gradient descent keeps to its usual rate {RATE:g}: from σ = {stds[1]:g} it loses all networks. Adam at "
        f"its best rate loses {f'{named(some)} and none elsewhere' if some else 'none'}"
    )
    if not behind:
        return where
    places = "all depths" if len(behind) == len(depths) else f"{named([str(depth) for depth in behind])} layers"
    return f"{where}, and its accuracy, too, is worse at {places} than from σ = {stds[0]:g}"


def _tells(shares: dict[tuple[float, float], float], depths: list[float], usual: float, most: float) -> bool:
    """Whether at each depth the large σ loses all networks, and the usual one less than half of them."""
    return all(shares[depth, most] == 1 and shares[depth, usual] < 0.5 for depth in depths)


def _at_best(tables: Tables) -> pd.DataFrame:
    """The networks of Adam at the best rate of each depth and σ."""
    members = tables["adam.members"]
    return members[members["job"].isin(tables["adam.candidates"]["job"])]


def _lost(members: pd.DataFrame) -> pd.DataFrame:
    """By depth and σ, the share of networks that are lost."""
    members = members.assign(lost=(members["status"] == "diverged") | ~(members["test_score"] > LEARNED))
    return members.groupby(["model.depth", "init.std"])["lost"].mean().reset_index()


def draw(tables: Tables) -> Figure:
    """Along σ at each depth: the share lost with descent, that lost with Adam, and the test accuracy with Adam."""
    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    lost = {
        "plain gradient descent": _lost(tables["descent.members"]),
        "Adam at its best rate": _lost(_at_best(tables)),
    }
    # A share of all networks there are has no interval.
    shown = [
        (title, rows.assign(lost_low=rows["lost"], lost_high=rows["lost"]), "lost", "share of networks that are lost")
        for title, rows in lost.items()
    ]
    shown.append(("Adam at its best rate", tables["adam.candidates"], "score", "test accuracy"))
    for axes, (title, rows, column, label) in zip(panels, shown, strict=True):
        rows = rows.sort_values("model.depth")
        rows = rows.assign(depth=rows["model.depth"].map("{} layers".format))
        draw_along(axes, rows, "init.std", column, by="depth", labels=("σ of the weights", label))
        axes.set_title(title, fontsize="medium")
        axes.set_ylim(-0.05, 1.05)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure
