"""Candidates whose loss started far above that of a guess, as metadata.json tells it of each job."""

from collections.abc import Mapping
from typing import Any

from initlab.base.chance import is_far, start_words
from initlab.base.wording import listed
from initlab.results.differences import RATE
from initlab.results.study import Study


def starts_far(metadata: Mapping[str, Any]) -> bool:
    """Whether the networks of a job started far above chance; not where that is not known.

    Args:
        metadata: As metadata.json has it: `first_loss`, the mean over members on the validation rows, and
            `chance_loss`, what outputs of zero cost there.
    """
    measured, chance = metadata.get("first_loss"), metadata.get("chance_loss")
    known = isinstance(measured, int | float) and isinstance(chance, int | float)
    return known and is_far(float(measured), float(chance))  # type: ignore[arg-type]  # both are numbers


def first_loss_lines(study: Study) -> list[str]:
    """A line for each initializer that starts far above chance, and which layer does it; of learning rates once.

    Args:
        study: As `read_study` returns it.
    """
    found: dict[str, list[str]] = {}
    for job in study.members["job"].drop_duplicates():
        metadata = study.metadata.get(str(job), {})
        if starts_far(metadata):
            found.setdefault(first_loss_line(metadata), []).append(study.label(str(job), without=[RATE]))
    return [f"{listed(list(dict.fromkeys(names)))}: {line}" for line, names in found.items()]


def first_loss_line(metadata: Mapping[str, Any]) -> str:
    """Where a job that `starts_far` starts and which layer does it, a sentence without a capital."""
    start = start_words(float(metadata["first_loss"]), float(metadata["chance_loss"]))
    return f"{start}{metadata.get('first_loss_by', '')}."
