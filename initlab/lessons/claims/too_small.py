"""Too small weights: gradients vanish, learning is slow or never starts?"""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from initlab.lessons.finding import Answer, Finding, Tables
from initlab.lessons.pictures import scores_along
from initlab.lessons.reading import hidden_layers, in_percent, named, pair_of

GRADIENT: Final = "weight_gradient_norm"
CHANCE: Final = 0.1  # of the commonest of ten classes


def judge(tables: Tables) -> Finding:
    """The claim holds at depths where smaller weights have less gradient in all networks, and are worse."""
    pairs, candidates = tables["trained.pairs"], tables["trained.candidates"]
    depths, stds = (sorted(candidates[key].unique()) for key in ("model.depth", "init.std"))
    least, usual = stds[0], stds[-1]
    verdicts = {
        depth: {
            std: pair_of(pairs, f"init.std={std:g}", f"init.std={usual:g}", setting=f"model.depth={depth}").verdict
            for std in stds[:-1]
        }
        for depth in depths
    }
    first = {
        (depth, std): hidden_layers(tables["start.signal"], **{"model.depth": depth, "init.std": std}).iloc[0]
        for depth in depths
        for std in (least, usual)
    }
    shallow, deep = depths[0], depths[-1]
    seen = [
        f"The gradient of the first layer's weights has a length of {first[deep, least][GRADIENT]:.1g} at {deep} "
        f"layers from σ = {least:g}, and of {first[deep, usual][GRADIENT]:.1g} from σ = {usual:g}; at {shallow} layers "
        f"of {first[shallow, least][GRADIENT]:.1g} and {first[shallow, usual][GRADIENT]:.1g}.",
        *(_sentence(candidates, depth, tuple(stds)) for depth in depths),
    ]
    seeds = int(pairs["seeds"].min())
    certainty = f"{seeds} networks of each kind; verdicts are at the 95 % level, each σ at its best learning rate."
    still = [
        f"σ = {std:g} at {depth} layers" for depth in depths for std in stds[:-1] if verdicts[depth][std] == "undecided"
    ]
    if still:
        certainty += (
            f" Whether {named(still)} {'is' if len(still) == 1 else 'are'} worse than σ = {usual:g} is undecided."
        )
    if any(first[depth, least][f"{GRADIENT}_max"] >= first[depth, usual][f"{GRADIENT}_min"] for depth in depths):
        return Finding("undecided", seen, certainty, "the gradient is not smaller in all networks")
    hurt = [depth for depth in depths if verdicts[depth][least] == "worse"]
    if not hurt:
        open_pairs = any("undecided" in found.values() for found in verdicts.values())
        answer: Answer = "undecided" if open_pairs else "does not hold"
        return Finding(answer, seen, certainty, "gradients vanish, but no net is called worse for it")
    turns = named([f"{_largest(verdicts[depth]):g} at {depth} layers" for depth in hurt])
    if hurt == depths:
        return Finding("holds", seen, certainty, f"too small is σ = {turns}, and whatever is smaller")
    if hurt != depths[-len(hurt) :]:
        return Finding(
            "undecided", seen, certainty, "small weights are worse at some depths, but not at all larger ones"
        )
    deep = named([f"{depth}" for depth in hurt], "or")
    where = f"the net is {deep} layers deep: too small is σ = {turns}, and whatever is smaller"
    return Finding("holds only where", seen, certainty, where)


def _largest(verdicts: dict[float, str]) -> float:
    """The largest σ that is worse, as are all smaller ones."""
    worse = [verdict == "worse" for verdict in verdicts.values()]
    return list(verdicts)[(worse.index(False) if False in worse else len(worse)) - 1]


def _sentence(candidates: pd.DataFrame, depth: int, stds: tuple[float, ...]) -> str:
    found = {float(row["init.std"]): row for _, row in candidates[candidates["model.depth"] == depth].iterrows()}
    rows = [found[std] for std in stds]
    scores = named([f"{row['score']:.2f} from σ = {std:g}" for std, row in zip(stds, rows, strict=True)])
    goal = f"{in_percent(rows[0]['threshold'])} on validation rows"
    if not any(row["reached"] for row in rows):
        return f"At {depth} layers test accuracy is {scores}; no network reaches {goal}."
    reached = named([f"{row['reached']:.0f}" for row in rows])
    return f"At {depth} layers test accuracy is {scores}; of {rows[0]['seeds']:.0f} networks {reached} reach {goal}."


def draw(tables: Tables) -> Figure:
    """Test accuracy along σ at each depth."""
    candidates = tables["trained.candidates"].sort_values("model.depth")
    candidates = candidates.assign(depth=candidates["model.depth"].map("{} layers".format))
    return scores_along(candidates, "init.std", by="depth", label="standard deviation σ of the weights", level=CHANCE)
