"""A report, put together from its sections."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from initlab.base.wording import counted, listed
from initlab.reporting.axes import heat_sections, numeric_axis_sections, ranks_section
from initlab.reporting.cells import level_words
from initlab.reporting.document import Paragraph, Part, Picture, Points, Report, Section
from initlab.reporting.learning import diverged_section, failed_section, rates_section, speed_section
from initlab.reporting.matters import HOW as HOW_DIVIDED
from initlab.reporting.matters import matters_section
from initlab.reporting.profiles import HOW as HOW_NEAR
from initlab.reporting.profiles import profiles_section
from initlab.reporting.remarks import method, remarks
from initlab.reporting.repeat import how_to_repeat
from initlab.reporting.scores import all_jobs, curves_section, leaderboard, pairs_section, seeds_section
from initlab.reporting.theory import signal_sections
from initlab.reporting.width import width_sections
from initlab.reporting.words import MOST_CONDITIONS, answer, condition_words
from initlab.results.analysis import Analysis

MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}_[\d.-]+")  # what a study without a name is called


def title_of(names: Sequence[str], analysis: Analysis) -> str:
    """The heading of a report: the studies' names, or what is compared where they are called after a moment.

    Args:
        names: Of the studies' folders.
        analysis: Of these studies.
    """
    if not all(MOMENT.fullmatch(name) for name in names):
        return ", ".join(names)
    table = analysis.candidates
    return f"{listed(list(dict.fromkeys(table['candidate'])))} on {listed(list(dict.fromkeys(table['data'])))}"


def selection_words(select: Mapping[str, Sequence[str]], shown: int, jobs: int) -> str:
    """Which part of a study a report shows, in a sentence.

    Example:
        >>> selection_words({"data": ["wine"], "init": ["he*", "zeros"]}, 3, 12)
        'A selection: 3 of 12 jobs, those with data=wine init=he*,zeros.'

    Args:
        select: By key, the values that its jobs have.
        shown: How many jobs these are.
        jobs: How many the study has.
    """
    asked = " ".join(f"{key}={','.join(values)}" for key, values in select.items())
    return f"A selection: {shown} of {counted(jobs, 'job')}, those with {asked}."


def compose_report(analysis: Analysis, title: str) -> Report:
    """Put the report of a study together.

    Example:
        >>> from pathlib import Path
        >>> from initlab.reporting.sections import compose_report
        >>> from initlab.reporting.write import write_report
        >>> from initlab.results.analysis import analyse
        >>> from initlab.results.study import read_study
        >>> analysis = analyse(read_study(Path("outputs/study")))  # doctest: +SKIP
        >>> report = compose_report(analysis, "Which initialization for wine?")  # doctest: +SKIP
        >>> write_report(report, Path("outputs/study"))  # doctest: +SKIP

    Args:
        analysis: As `analyse` returns it, of a study with at least one finished job.
        title: Heading of the report, in plain text.

    Returns:
        All sections that have something to say; their figures are drawn.
    """
    made = [
        _answer_section(analysis),
        leaderboard(analysis),
        seeds_section(analysis),
        curves_section(analysis),
        pairs_section(analysis),
        matters_section(analysis),
        rates_section(analysis),
        *width_sections(analysis),
        *numeric_axis_sections(analysis),
        *heat_sections(analysis),
        ranks_section(analysis),
        profiles_section(analysis),
        speed_section(analysis),
        diverged_section(analysis),
        *signal_sections(analysis),
        failed_section(analysis),
        all_jobs(analysis),
        how_to_repeat(analysis.study),
    ]
    sections = [section for section in made if section is not None]
    return Report(title, [*sections, _method_section(analysis, sections)])


def _method_section(analysis: Analysis, sections: Sequence[Section]) -> Section:
    """The section on how the numbers of the others were made."""
    pictures = {part.name for section in sections for part in section.parts if isinstance(part, Picture)}
    how = {"variance_shares": HOW_DIVIDED, "score_profile": HOW_NEAR}
    used = [words for name, words in how.items() if name in pictures]
    return Section("How the numbers were made", [Points([*method(analysis), *used])])


def _answer_section(analysis: Analysis) -> Section:
    """The section with the answer in words, and what to know before believing it."""
    parts: list[Part] = [Paragraph(text) for text in answer(analysis)]
    conditions = analysis.conditions
    if len(conditions) > 1:
        parts.append(
            Points([condition_words(analysis, condition, brief=True) for condition in conditions[:MOST_CONDITIONS]])
        )
        if len(conditions) > MOST_CONDITIONS:
            parts.append(Paragraph(f"And {len(conditions) - MOST_CONDITIONS} more conditions: see the tables."))
    level = level_words(analysis)
    if level:
        parts.append(Paragraph(level))
    known = remarks(analysis)
    if known:
        parts += [Paragraph("To know before believing it:"), Points(known)]
    return Section("The answer", parts)
