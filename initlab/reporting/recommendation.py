"""A recommendation in words, with the code to paste, and what the others looked like before training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from initlab.base.wording import counted, difference_text, interval_text, listed, p_words, rate_text
from initlab.reporting.document import Code, Paragraph, Part, Section, Table
from initlab.reporting.words import score_words
from initlab.results.analysis import Analysis
from initlab.results.baseline import baseline_name, baseline_under, learned_candidates
from initlab.results.candidates import WITHIN
from initlab.results.choice import TORCH, Choice, any_learned


@dataclass(frozen=True)
class Screened:
    """What a scheme's untrained networks looked like.

    Attributes:
        scheme: Name of the scheme.
        outlook: That of a probe's verdict: `trainable`, `hard to train` or `not trainable`; or `not measured`.
        reason: The verdict's reason, or why nothing was measured.
        trained: Whether networks with this scheme were trained then.
    """

    scheme: str
    outlook: str
    reason: str
    trained: bool


def recommendation_section(analysis: Analysis, found: Choice | None, code: str, on_code: str = "") -> Section:
    """The section with the recommendation, and the code to paste.

    Args:
        analysis: A study with one condition, as `analyse` returns it.
        found: The candidate that was chosen; None: no network learned anything.
        code: Lines of Python that use the chosen scheme.
        on_code: What the names in these lines stand for, in a sentence; may be empty.
    """
    title = "The recommendation"
    if found is None and not any_learned(analysis):
        return Section(title, [Paragraph(_nothing_learned(analysis))])
    if found is None:
        text = "No network learned anything: no initialization can be recommended. The tables say what was tried."
        return Section(title, [Paragraph(text)])
    parts: list[Part] = [Paragraph(" ".join(recommendation_words(analysis, found))), Code(code)]
    return Section(title, [*parts, *([Paragraph(on_code)] if on_code else [])])


def _nothing_learned(analysis: Analysis) -> str:
    """That no candidate is clearly above what knowing nothing of the inputs scores."""
    condition = analysis.conditions[0]
    best, metric = analysis.candidates.iloc[0], condition[1]
    known = "knowing only the commonest class scores" if metric == "accuracy" else "predicting the mean scores"
    score, baseline = score_words(best, metric, tuned=True), interval_text(baseline_under(analysis, condition))
    return (
        f"Nothing here learned: the best, {best['candidate']}, has {score}, and {known} {baseline}. No initialization "
        "can be recommended by that: train for more epochs, at other learning rates, or another network."
    )


def recommendation_words(analysis: Analysis, found: Choice) -> list[str]:
    """Sentences that say which scheme to use, at which learning rate, why, and what torch's own default does."""
    chosen, table = found.chosen, analysis.candidates
    name = str(chosen["candidate"])
    low, high = float(chosen["lowest"]), float(chosen["highest"])
    rates = f" (from {rate_text(low)} to {rate_text(high)} the validation score is within 1 %)" if low < high else ""
    what = "Keep torch's own initialization" if name == TORCH else f"Use {name}"
    score = score_words(chosen, str(chosen["metric"]), tuned=False)
    sentences = ["It does not matter here which of these is used."] if found.indifferent else []
    sentences += [
        f"{what}, at a learning rate of about {rate_text(float(chosen['rate']))}{rates}: {score}.",
        *_training(analysis, chosen),
        *([] if _only_torch_beside(table, name) else _standing(table)),
        *_not_learned(analysis, name),
        *(_alike(table) if found.indifferent else _why(table, found)),
    ]
    if name != TORCH and (table["candidate"] == TORCH).any():
        sentences.append(_beside_torch(analysis, name))
    if bool(chosen["at_edge"]):
        end = f"{rate_text(float(chosen['rate']))} is {_end_of_grid(analysis, chosen)}"
        sentences.append(f"{end}: a better one may lie beyond, so try further ones.")
    return sentences


def _only_torch_beside(table: pd.DataFrame, name: str) -> bool:
    """Whether the chosen one is compared with torch's own alone, which is said in a sentence of its own."""
    return name != TORCH and list(table["candidate"]) == [name, TORCH]


def _end_of_grid(analysis: Analysis, chosen: pd.Series) -> str:
    """Which end of the learning rates that were tried the chosen one is."""
    jobs = analysis.jobs
    rates = jobs.loc[jobs["candidate"] == chosen["candidate"], "rate"]
    return f"the {'largest' if chosen['rate'] == rates.max() else 'smallest'} learning rate tried"


def _training(analysis: Analysis, chosen: pd.Series) -> list[str]:
    """With what the learning rate goes, as far as the job's configuration is known."""
    config = analysis.study.configs.get(str(chosen["job"]), {})
    optimizer, rows, epochs = (config.get(key) for key in ("optim.name", "batch_size", "trainer.max_epochs"))
    known = [
        *([f"the optimizer {optimizer}"] if optimizer else []),
        *([f"batches of {rows}"] if rows else []),
        *([counted(int(epochs), "epoch")] if epochs else []),
        *_loss_words(config),
    ]
    return [f"The learning rate is for {listed(known)}: with others it may be another."] if known else []


def _loss_words(config: Mapping[str, object]) -> list[str]:
    """The loss, where it is not the task's own as it is."""
    own, name = config.get("loss._target_"), config.get("loss.name") or "auto"
    settings = {
        "label smoothing": config.get("loss.label_smoothing"),
        "class weights": config.get("loss.class_weights"),
    }
    beside = [f"{what} {value}" for what, value in settings.items() if value]
    if own is None and name == "auto" and not beside:
        return []
    what = "the loss of the task" if own is None and name == "auto" else f"the loss {own or name}"
    return [what + (f" with {listed(beside)}" if beside else "")]


def _not_learned(analysis: Analysis, name: str) -> list[str]:
    """Which candidates have a higher mean than the chosen one, but did not show that they learned."""
    table, (condition, *_) = analysis.candidates, analysis.conditions
    place = list(table["candidate"]).index(name)
    above = table.iloc[:place][~learned_candidates(analysis).iloc[:place]]
    baseline = interval_text(baseline_under(analysis, condition))
    return [
        f"{row['candidate']} has {score_words(row, condition[1], tuned=False)}, which is not clearly above "
        f"{baseline_name(condition[1])} ({baseline})."
        for _, row in above.iterrows()
    ]


def _standing(table: pd.DataFrame) -> list[str]:
    """How the best stands to the others that trained."""
    best, others = str(table["candidate"].iloc[0]), table.iloc[1:]
    if others.empty:
        return ["Nothing else trained."]
    if (others["standing"] == "worse").all():
        each = f"each of the {len(others)} others" if len(others) > 1 else str(others["candidate"].iloc[0])
        return [f"{best} is better than {each}."]
    sentences = [f"{best} ranks first of the {len(table)} that trained."]
    for standing, words in {"equivalent": "equivalent to it", "undecided": "undecided beside it"}.items():
        names = list(others.loc[others["standing"] == standing, "candidate"].astype(str))
        if names:
            sentences.append(f"{words.capitalize()}: {listed(names, 8)}.")
    return sentences


def _alike(table: pd.DataFrame) -> list[str]:
    """How little all that trained differ."""
    span = float(table["test"].max() - table["test"].min())
    return [f"The means of all {len(table)} are within {difference_text(span)}, and each is equivalent to the best."]


def _why(table: pd.DataFrame, found: Choice) -> list[str]:
    """Why this one, of those that are about as good."""
    if len(found.near) < 2:
        return []
    name, width = str(found.chosen["candidate"]), float(found.chosen["decades"])
    tests = table.set_index("candidate")["test"]
    about = "whose mean is within 1 % of the best"
    if (tests[list(found.near)] < (1 - WITHIN) * tests[list(found.near)].max()).any():
        about = "equivalent to the best, or whose mean is within 1 % of it"
    whose = f"Of the {len(found.near)} {about}"
    if len(found.simple) == 1 and len(found.near) > 1:
        return [f"{whose}, {name} alone only fills weights, without looking at data."]
    if found.simple and len(found.simple) < len(found.near):
        whose = f"Of the {len(found.simple)} that only fill weights and {about}"
    if not width > 0:
        first = name == str(table["candidate"].iloc[0])  # which is said already
        return [] if first else [f"{whose}, {name} ranks first."]
    among = table[table["candidate"].isin(found.simple or found.near)]
    sole = (among["decades"].fillna(0.0) >= width).sum() == 1
    end = "" if sole else ", and ranks first of those with such a range"
    return [f"{whose}, {name} has the widest range of good learning rates ({width:.1f} decades){end}."]


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
        word = "better" if (row["verdict"] == "better") == (sign == 1) else "worse"
        by = difference_text(abs(float(row["difference"])), *sorted(map(abs, ends)))  # both ends have its sign
        return f"It is {word} than torch's own by {by} ({p_words(row['p_adjusted'])})."
    if row["verdict"] == "equivalent":
        return f"It is equivalent to torch's own: {difference}, less than {analysis.margin:g}."
    return f"It is undecided whether it is better than torch's own: {difference}."


def screening_section(screened: Sequence[Screened]) -> Section:
    """The section on what all schemes that fit the network looked like before training."""
    data = pd.DataFrame(
        [(entry.scheme, entry.outlook, entry.reason, entry.trained) for entry in screened],
        columns=["scheme", "outlook", "reason", "trained"],
    )
    shown = data.assign(trained=data["trained"].map({True: "yes", False: "no"}))
    trained = int(data["trained"].sum())
    text = (
        f"{counted(len(data), 'scheme')} fit this network. By what each does to signal and gradient before any "
        f"training, {trained} {'was' if trained == 1 else 'were'} chosen to train."
    )
    if TORCH in set(data["scheme"]):
        text += " Torch's own default always trains, to compare with."
    table = Table("screening", "Outlook before training, by the signal in every layer.", data, shown)
    return Section("Before training", [Paragraph(text), table])
