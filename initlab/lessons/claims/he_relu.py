"""ReLU halves the signal, and He's factor 2 makes up for it?"""

from typing import Final

from matplotlib.figure import Figure

from initlab.lessons.finding import Finding, Tables
from initlab.lessons.pictures import lines_by_layer
from initlab.lessons.reading import Span, growth, hidden_layers, in_percent

OTHERS: Final = ("xavier_normal", "lecun_normal")
NEAR: Final = 0.1  # of a factor: as far as it may be from the one that is taught


def judge(tables: Tables) -> Finding:
    """The claim holds if the signal is halved a layer without He's factor, and kept with it, in all networks."""
    signal = tables["probed.signal"]
    he, *others = (growth(signal, "pre_second_moment", init=init) for init in ("he_normal", *OTHERS))
    rows = hidden_layers(signal, init="he_normal")
    left = rows["post_second_moment"] / rows["pre_second_moment"]
    start, end = rows.iloc[0], rows.iloc[-1]
    xavier = hidden_layers(signal, init="xavier_normal")["pre_second_moment"]
    column = "pre_second_moment"
    seen = [
        f"ReLU leaves {left.min():.2f} to {left.max():.2f} of a layer's mean square, in the mean over networks.",
        f"From one layer to the next the mean square is multiplied by {he.mean:.2f} from He's weights, by "
        f"{others[0].mean:.2f} from Xavier's and by {others[1].mean:.2f} from LeCun's. In single networks it is "
        f"{_words(he)}, {_words(others[0])} and {_words(others[1])}.",
        f"From He's weights it goes from {start[column]:.1f} in the first layer to {end[column]:.1f} in the last of "
        f"{len(rows)} (single networks: {end[f'{column}_min']:.1f} to {end[f'{column}_max']:.1f}); from Xavier's it "
        f"goes from {xavier.iloc[0]:.1f} to {xavier.iloc[-1]:.1g}.",
    ]
    near = in_percent(NEAR)
    certainty = f"All of {he.networks} networks of each kind; a factor counts as kept or halved within {near}."
    taught = [_near(he, 1.0), *(_near(other, 0.5) for other in others)]
    if all(taught):
        return Finding("holds", seen, certainty)
    wrong = [_far(he, 1.0), *(_far(other, 0.5) for other in others)]
    if wrong[0]:
        return Finding(
            "does not hold", seen, certainty, f"with He's factor the signal is multiplied by {he.mean:.2f} a layer"
        )
    if any(wrong):
        return Finding("does not hold", seen, certainty, "without He's factor the signal is not halved a layer")
    return Finding("undecided", seen, certainty, "some networks keep to the factors that are taught, others do not")


def _near(factor: Span, taught: float) -> bool:
    return factor.within((1 - NEAR) * taught, (1 + NEAR) * taught)


def _far(factor: Span, taught: float) -> bool:
    return factor.outside((1 - NEAR) * taught, (1 + NEAR) * taught)


def _words(factor: Span) -> str:
    return f"{factor.low:.2f} to {factor.high:.2f}"


def draw(tables: Tables) -> Figure:
    """Mean squares of pre-activations by layer."""
    return lines_by_layer(
        hidden_layers(tables["probed.signal"]), "pre_second_moment", by="init", label="mean square of pre-activations"
    )
