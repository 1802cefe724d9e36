"""A report, put together from its sections."""

from initlab.reporting.axes import heat_sections, ranks_section
from initlab.reporting.document import Paragraph, Part, Points, Report, Section
from initlab.reporting.learning import diverged_section, failed_section, rates_section, speed_section
from initlab.reporting.remarks import method, remarks
from initlab.reporting.repeat import how_to_repeat
from initlab.reporting.scores import all_jobs, curves_section, leaderboard, pairs_section, seeds_section
from initlab.reporting.theory import signal_sections
from initlab.reporting.words import MOST_CONDITIONS, answer, condition_words
from initlab.results.analysis import Analysis


def compose_report(analysis: Analysis, title: str) -> Report:
    """Put a report together.

    Args:
        analysis: Of at least one finished job.
        title: Its heading.
    """
    made = [
        answer_section(analysis),
        leaderboard(analysis),
        seeds_section(analysis),
        curves_section(analysis),
        pairs_section(analysis),
        rates_section(analysis),
        *heat_sections(analysis),
        ranks_section(analysis),
        speed_section(analysis),
        diverged_section(analysis),
        *signal_sections(analysis),
        failed_section(analysis),
        all_jobs(analysis),
        how_to_repeat(analysis.study),
        Section("How the numbers were made", [Points(method(analysis))]),
    ]
    return Report(title, [section for section in made if section is not None])


def answer_section(analysis: Analysis) -> Section:
    """The answer in words, and what to know before believing it."""
    parts: list[Part] = [Paragraph(text) for text in answer(analysis)]
    conditions = analysis.conditions
    if len(conditions) > 1:
        parts.append(
            Points([condition_words(analysis, condition, brief=True) for condition in conditions[:MOST_CONDITIONS]])
        )
        if len(conditions) > MOST_CONDITIONS:
            parts.append(Paragraph(f"And {len(conditions) - MOST_CONDITIONS} more conditions: see the tables."))
    known = remarks(analysis)
    if known:
        parts += [Paragraph("To know before believing it:"), Points(known)]
    return Section("The answer", parts)
