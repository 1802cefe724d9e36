"""Parts of a report on how often a candidate is how near the best: performance profiles."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from initlab.base.wording import interval_text, shortest
from initlab.figures.panels import MOST_PANELS
from initlab.figures.profiles import score_profile, time_profile
from initlab.reporting.cells import with_level
from initlab.reporting.document import Part, Picture, Section, Table
from initlab.results.analysis import Analysis
from initlab.results.confidence import percent
from initlab.results.profiles import NEAR, SOON, Profile, score_profiles, time_profiles

DISTANCES = {distance: f"within {shortest(distance)}" if distance else "best" for distance in NEAR}
FACTORS = {factor: f"within {factor:g}×" if factor > 1 else "fastest" for factor in SOON}

HOW = (
    "Performance profiles (Dolan & Moré 2002): on which share of the seeds of a condition, or of the data sets where "
    "there are several, a candidate is within a distance of the best there. Equals are best together. Of a data set "
    "with several conditions each counts in equal parts. Bands over seeds are Clopper and Pearson's at each distance; "
    "over data sets, whose scores are means and whose epochs are medians over seeds, bootstraps of the seeds, which "
    "say nothing of other data sets."
)


def profiles_section(analysis: Analysis) -> Section | None:
    """The section on how often candidates are how near the best score; None where there is nothing to be near to."""
    found = score_profiles(analysis)
    if not found:
        return None
    caption = f"Share of {_samples(found)} on which a candidate's test score is so near the best one's."
    picture = Picture("score_profile", caption + _left_out(found), score_profile(analysis, found))
    return Section("Near the best", [picture, _table(analysis, "score_profile", caption, found, DISTANCES)])


def time_profile_parts(analysis: Analysis) -> list[Part]:
    """A figure and a table on how often candidates reach the threshold how soon; none where none does."""
    found = time_profiles(analysis)
    if not found:
        return []
    caption = (
        f"Share of {_samples(found)} on which a candidate reaches the threshold in so many times the epochs of the "
        "fastest; what never does is within no factor."
    )
    picture = Picture("time_profile", caption + _left_out(found), time_profile(analysis, found))
    return [picture, _table(analysis, "time_profile", caption, found, FACTORS)]


def _samples(found: Sequence[Profile]) -> str:
    return "data sets" if found[0].of_data_sets else "seeds"


def _left_out(found: Sequence[Profile]) -> str:
    return f" The first {MOST_PANELS} of {len(found)} conditions." if len(found) > MOST_PANELS else ""


def _table(analysis: Analysis, name: str, caption: str, found: Sequence[Profile], marks: dict[float, str]) -> Table:
    data = pd.concat([_steps(profile) for profile in found], ignore_index=True)
    rows = []
    for profile in found:
        columns = {heading: profile.at(distance).T for distance, heading in marks.items()}
        for place in np.argsort(-profile.shares[:, 0], kind="stable"):
            condition = {"condition": profile.title} if len(found) > 1 else {}
            shares = {heading: interval_text(*ends[place]) for heading, ends in columns.items()}
            rows.append({**condition, "candidate": profile.names[place], **shares})
    brackets = f" Brackets hold {percent(analysis.level)} intervals."
    return Table(name, caption + brackets, with_level(analysis, data), pd.DataFrame(rows), folded=True)


def _steps(profile: Profile) -> pd.DataFrame:
    """One row a candidate and distance at which any share changes."""
    candidates, distances = profile.shares.shape
    return pd.DataFrame(
        {
            "condition": profile.title or "all data sets",
            "samples": profile.samples,
            "candidate": np.repeat(profile.names, distances),
            "within": np.tile(profile.within, candidates),
            "share": profile.shares.ravel(),
            "low": profile.low.ravel(),
            "high": profile.high.ravel(),
        }
    )
