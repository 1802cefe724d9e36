"""The section of a report on what matters: shares of the variance of test scores."""

import math

import pandas as pd

from initlab.base.wording import counted, listed
from initlab.figures.variance_shares import variance_share_bars
from initlab.reporting.cells import with_level
from initlab.reporting.document import Paragraph, Part, Picture, Points, Section, Table
from initlab.results.analysis import Analysis
from initlab.results.confidence import percent
from initlab.results.division import SEED
from initlab.results.variance_shares import INITIALIZER, NAMES, SEPARATOR, VarianceShares, variance_shares
from initlab.tables.schema import METRICS

MOST_SENTENCES = 12
MOST_SAID = 6  # sources in a sentence
LEAST_SAID = 0.01  # a share that has a place of its own in a sentence
ORDER = {1: 0, 2: 1, 3: 2, 0: 3}  # in a sentence: factors, then their interactions, then the seed

HOW = (
    "Shares of variance are those of the combinations that were run, each alike, and of the seeds: finite-population "
    "components of a crossed analysis of variance (Gelman 2005), which on a grid are those of functional ANOVA (Hutter "
    "et al. 2014). Each is a mean of products at different seeds, so that the noise of few seeds does not add to it; "
    "intervals bootstrap the seeds. A share that came out below 0 is shown as 0. Numbers count as categories."
)


def matters_section(analysis: Analysis) -> Section | None:
    """The section on what matters for the score, and how much; None where fewer than two factors were crossed."""
    found = variance_shares(analysis)
    if not found:
        return None
    sentences = [variance_words(one) for one in found]
    told: list[Part] = [Paragraph(sentences[0])] if len(sentences) == 1 else [Points(sentences[:MOST_SENTENCES])]
    if len(sentences) > MOST_SENTENCES:
        told.append(Paragraph(f"And {len(sentences) - MOST_SENTENCES} more data sets: see the table."))
    known = any(one.sources["low"].notna().any() for one in found)
    intervals = f", with {percent(analysis.level)} intervals" if known else ""
    caption = (
        f"Shares of the variance of test scores over all combinations of the values that were swept, and over seeds"
        f"{intervals}. They hold for these values: of others, the shares are others. A "
        "diverged network counts as 0."
    )
    figure = variance_share_bars(found, level=analysis.level)
    data = pd.concat([_data(one) for one in found], ignore_index=True)
    shown = pd.DataFrame(index=data.index)
    if len(found) > 1:
        shown["data"] = data["data"]
    if data["metric"].nunique() > 1:
        shown["metric"] = data["metric"].map(dict(METRICS))
    shown["source"] = data["source"]
    shown["share"] = [_share_and_interval(*row) for row in data[["share", "low", "high"]].to_numpy()]
    parts = data[["takes_part", "takes_part_low", "takes_part_high"]].to_numpy()
    shown["with interactions"] = [_share_and_interval(*row) for row in parts]
    table = Table("variance_shares", caption, with_level(analysis, data), shown, folded=len(found) > 1)
    return Section("What matters", [*told, Picture("variance_shares", caption, figure), table])


def _data(found: VarianceShares) -> pd.DataFrame:
    head = {"data": found.data or "all", "metric": found.metric}
    tail = {"variance": found.variance, "seeds": found.seeds, "combinations": found.combinations}
    table = found.sources.assign(**tail, filled=found.filled)
    for place, (name, value) in enumerate(head.items()):
        table.insert(place, name, value)
    return table


def variance_words(found: VarianceShares) -> str:
    """What makes how much of the variance, in a sentence or two.

    Args:
        found: One of those that `variance_shares` returns.
    """
    rows = found.sources.assign(order=found.sources["factors"].map(ORDER))
    said = rows[(rows["share"] >= LEAST_SAID) & (rows["factors"] != 3)].head(MOST_SAID)
    said = pd.concat([said, rows[rows["source"] == INITIALIZER]]).drop_duplicates("source")
    said = said.sort_values("order", kind="stable")
    rest = 1.0 - float(said["share"].sum())
    named = zip(said["source"], said["share"], strict=True)
    makes = [
        f"{_in_words(str(source), len(found.factors))} {'' if place else 'makes '}{share_text(share)}"
        for place, (source, share) in enumerate(named)
    ]
    where = f"on {found.data}" if found.data else "over all data sets"
    texts = [f"Of the variance of test {METRICS[found.metric]} {where}, {listed(makes, MOST_SAID + 1)}"]
    texts[0] += f"; all else {share_text(rest)}." if rest >= LEAST_SAID else "."
    own = found.sources[found.sources["source"] == INITIALIZER]
    if len(own):
        part = own[["takes_part", "takes_part_low", "takes_part_high"]].to_numpy()[0]
        texts.append(f"With its interactions, the initializer has part in {_share_and_interval(*part)}.")
    if found.filled:
        texts.append(
            f"{found.filled} of {counted(found.combinations, 'combination')} {'has' if found.filled == 1 else 'have'} "
            f"no job, and {'was' if found.filled == 1 else 'were'} filled in by least squares from the others."
        )
    return " ".join(texts)


def _in_words(source: str, factors: int) -> str:
    """A source of variance as it is called in a sentence: keys as they are typed, words with an article."""
    if SEPARATOR in source:
        return "their interaction" if factors == 2 else f"the interaction of {source.replace(SEPARATOR, ' and ')}"
    return f"the {source}" if source in {SEED, *NAMES.values()} else source


def _share_and_interval(share: float, low: float, high: float) -> str:
    """A share of the variance with its interval, `61 % [58 %, 64 %]`; a dash where there is none."""
    if not math.isfinite(share):
        return "—"
    return share_text(share) + (f" [{share_text(low)}, {share_text(high)}]" if math.isfinite(low) else "")


def share_text(share: float) -> str:
    """A share in whole percent: what came out below 0 is none, what came out above 1 is all."""
    if share <= 0:
        return "0 %"
    return "< 1 %" if share < LEAST_SAID / 2 else f"{100 * min(share, 1.0):.0f} %"
