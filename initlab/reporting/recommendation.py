"""A recommendation in words, with the code to paste, and what the others looked like before training."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from initlab.errors import counted
from initlab.formats import difference_text, interval_text, listed, p_words, rate_text
from initlab.reporting.document import Code, Paragraph, Part, Section, Table
from initlab.results.analysis import Analysis
from initlab.results.recommendation import Recommendation
from initlab.results.schema import METRICS

TORCH = "torch_default"


@dataclass(frozen=True)
class Screened:
    """What a scheme's untrained networks looked like.

    Attributes:
        scheme: Its name.
        outlook: Of a probe's verdict, or `not measured`.
        reason: In words.
        trained: Whether it went on to train.
    """

    scheme: str
    outlook: str
    reason: str
    trained: bool


def recommendation_section(analysis: Analysis, found: Recommendation | None, code: str) -> Section:
    """The recommendation, and two lines of code."""
    title = "The recommendation"
    if found is None:
        text = "No network learned anything: no initialization can be recommended. The tables say what was tried."
        return Section(title, [Paragraph(text)])
    parts: list[Part] = [Paragraph(" ".join(recommendation_words(analysis, found))), Code(code)]
    return Section(title, parts)


def recommendation_words(analysis: Analysis, found: Recommendation) -> list[str]:
    """Which to use, at which learning rate, why, and what torch's own default does."""
    chosen, table = found.chosen, analysis.candidates
    name, metric = str(chosen["candidate"]), METRICS[str(chosen["metric"])]
    low, high = float(chosen["lowest"]), float(chosen["highest"])
    rates = f" (from {rate_text(low)} to {rate_text(high)} the validation score is within 1 %)" if low < high else ""
    what = "Keep torch's own initialization" if name == TORCH else f"Use {name}"
    score = interval_text(chosen["score"], chosen["score_low"], chosen["score_high"])
    sentences = [
        f"{what}, at a learning rate of about {rate_text(float(chosen['rate']))}{rates}: test {metric} {score} over "
        f"{counted(int(chosen['seeds']), 'seed')}.",
        _why(analysis, found),
    ]
    if name != TORCH and (table["candidate"] == TORCH).any():
        sentences.append(_beside_torch(analysis, name))
    if bool(chosen["at_edge"]):
        sentences.append("That is the first or last learning rate that was tried: try further ones.")
    return sentences


def _why(analysis: Analysis, found: Recommendation) -> str:
    """Why this one, of those that could as well be the best."""
    table, name = analysis.candidates, str(found.chosen["candidate"])
    best = str(table["candidate"].iloc[0])
    others = [other for other in found.leading if other != best]
    if not others:
        return f"It is better than each of the {counted(len(table) - 1, 'other')} that trained."
    verb = "were" if len(others) > 1 else "was"
    first = "It" if best == name else best
    text = f"{first} has the highest mean of the {len(table)} that trained; {listed(others, 8)} {verb} not shown to be "
    text += "worse."
    among = table[table["candidate"].isin(found.simple or found.leading)]
    width = float(found.chosen["decades"])
    sole = (among["decades"].fillna(0.0) >= width - 1e-6).sum() == 1
    only = ", which only draws weights," if found.simple and len(found.simple) < len(found.leading) else ""
    if len(among) == 1:
        return f"{text} Of these, {name} alone only draws weights, without looking at data."
    if not width > 0:
        return f"{text} Of these, {name}{only} has the highest mean."
    end = "" if sole else ", and the highest mean of those with such a range"
    return f"{text} Of these, {name}{only} has the widest range of good learning rates ({width:.1f} decades){end}."


def _beside_torch(analysis: Analysis, name: str) -> str:
    pairs = analysis.pairs
    rows = pairs[(pairs["a"].isin([name, TORCH])) & (pairs["b"].isin([name, TORCH]))]
    if rows.empty:
        return "It was not compared with torch's own initialization: too many were trained."
    row = rows.iloc[0]
    sign = 1 if row["a"] == name else -1
    ends = sorted((sign * float(row["low"]), sign * float(row["high"])))
    difference = difference_text(sign * float(row["difference"]), *ends)
    if row["verdict"] in ("better", "worse"):
        better = (row["verdict"] == "better") == (sign == 1)
        return f"It is {'better' if better else 'worse'} than torch's own by {difference} ({p_words(row['p_holm'])})."
    return f"From torch's own no difference was shown: {difference}."


def screening_section(screened: Sequence[Screened]) -> Section:
    """What all schemes looked like before training."""
    data = pd.DataFrame(
        [(entry.scheme, entry.outlook, entry.reason, entry.trained) for entry in screened],
        columns=["scheme", "outlook", "reason", "trained"],
    )
    shown = data.assign(trained=data["trained"].map({True: "yes", False: "no"}))
    trained = int(data["trained"].sum())
    text = (
        f"{counted(len(data), 'scheme')} fit this network. From what each does to signal and gradient before any "
        f"training, {trained} were chosen to train; torch's own default always trains, to compare with."
    )
    table = Table("screening", "Outlook before training, by the signal in every layer.", data, shown)
    return Section("Before training", [Paragraph(text), table])
