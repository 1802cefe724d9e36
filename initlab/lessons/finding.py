"""What a lesson finds: whether its claim holds, where, and in which numbers that is seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pandas as pd

from initlab.lessons.lesson import Lesson

Answer = Literal["holds", "holds only where", "does not hold", "undecided"]
Tables = Mapping[str, pd.DataFrame]

WORDS: Final[Mapping[Answer, str]] = {
    "holds": "It holds",
    "holds only where": "It holds only where",
    "does not hold": "It does not hold",
    "undecided": "Undecided at this size",
}


@dataclass(frozen=True)
class Finding:
    """A verdict and what it rests on; every number in it is computed from the tables.

    Attributes:
        answer: What became of the claim.
        where: The condition of `holds only where`, or what was undecided; goes on after the answer's words.
        seen: Two or three sentences on what the picture shows, with the numbers of this run.
        certainty: How sure that is: of how many networks, at which level.
    """

    answer: Answer
    seen: Sequence[str]
    certainty: str
    where: str = ""

    def __str__(self) -> str:
        """The verdict in one sentence."""
        if not self.where:
            return f"{WORDS[self.answer]}."
        return f"{WORDS[self.answer]}{' ' if self.answer == 'holds only where' else ': '}{self.where}."


def with_seeds(finding: Finding, lesson: Lesson, seeds: int) -> Finding:
    """The finding as it is, or undecided, where there are fewer networks than the lesson rests on.

    Args:
        finding: What its tables say.
        lesson: The lesson.
        seeds: Networks of each kind that there are.
    """
    if seeds >= lesson.seeds:
        return finding
    where = f"{seeds} networks of a kind decide nothing here; it takes {lesson.seeds}"
    return replace(finding, answer="undecided", where=where)
