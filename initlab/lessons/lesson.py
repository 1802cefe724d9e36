"""What a lesson is: a claim as it is taught, and the commands whose results decide it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import yaml

from initlab.base.errors import UserError, nearest
from initlab.config.files import CONF

FOLDER: Final = CONF / "lesson"
PROGRAMS: Final = ("train", "probe")
VERDICT: Final = "verdict.json"  # in the folder of a chapter
# The same rules in C, where PyYAML has them: all lessons are read a tenth of a second sooner, or two.
RULES: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Experiment:
    """A command of a lesson.

    Attributes:
        program: `train` or `probe`.
        words: What follows it on the command line, without name, folder and seeds.
        tune: Whether each candidate is taken at its own best learning rate, even if nothing else differs.
        all_rates: Whether the lesson is about all learning rates that are swept, and takes none as the best.
    """

    program: str
    words: tuple[str, ...]
    tune: bool = False
    all_rates: bool = False

    @property
    def chooses_rate(self) -> bool:
        """Whether several learning rates are tried to take the best."""
        swept = [word for word in self.words if word.startswith("optim.lr=") and ("," in word or "(" in word)]
        return self.program == "train" and bool(swept) and not self.all_rates


@dataclass(frozen=True)
class Lesson:
    """A claim and what decides it, as its file in conf/lesson has it.

    Attributes:
        name: Of the file and of the module in `initlab.lessons.claims`.
        title: A few words.
        claim: The sentence as it is taught.
        taught: Who teaches it, in general words.
        question: What is measured to decide it.
        minutes: What it takes on two cores.
        seeds: Networks of each kind that the verdict rests on; with fewer the lesson is undecided.
        experiments: By a short name, the commands.
        look_at: What to look at in the picture.
        why: The explanation, in words of the first year, with the formula.
        change: What would change the verdict.
        next: Two commands to go on with.
        margin: A difference of scores that does not matter.
        topic: What it is about; lessons of one topic stand together in the list.
        order: Its place in the book.
    """

    name: str
    title: str
    claim: str
    taught: str
    question: str
    minutes: float
    experiments: Mapping[str, Experiment]
    look_at: str
    why: str
    change: str
    next: tuple[str, ...]
    topic: str
    seeds: int = 10
    margin: float = 0.01
    order: int = 99


def all_lessons() -> list[Lesson]:
    """All lessons, in the order of the book."""
    found = [read_lesson(path.stem) for path in FOLDER.glob("*.yaml")]
    return sorted(found, key=lambda lesson: (lesson.order, lesson.name))


def lesson_names() -> list[str]:
    """Names of all lessons, in the order of the book."""
    return [lesson.name for lesson in all_lessons()]


def read_lesson(name: str) -> Lesson:
    """A lesson by its name.

    Raises:
        UserError: there is none of that name; the nearest are named.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.exists():
        known = [one.stem for one in FOLDER.glob("*.yaml")]
        raise UserError(f"textbook {name}: there is no such lesson; {nearest(name, known)}")
    return parse_lesson(name, yaml.load(path.read_text(encoding="utf-8"), Loader=RULES))


def parse_lesson(name: str, given: Mapping[str, Any]) -> Lesson:
    """A lesson from what its file says.

    Raises:
        ValueError: a key is missing, or unknown.
    """
    known = {one.name for one in fields(Lesson)} - {"name"}
    if wrong := sorted(given.keys() - known):
        raise ValueError(f"conf/lesson/{name}.yaml: unknown key {wrong[0]}")
    experiments = {key: _experiment(name, value) for key, value in given["experiments"].items()}
    texts = {
        key: " ".join(value.split()) if key not in ("why",) else value.strip()
        for key, value in given.items()
        if isinstance(value, str)
    }
    return Lesson(name=name, **{**given, **texts, "experiments": experiments, "next": tuple(given["next"])})


def _experiment(name: str, given: str | Mapping[str, Any]) -> Experiment:
    command, options = (given, {}) if isinstance(given, str) else (given["command"], dict(given))
    program, *words = shlex.split(command)
    if program not in PROGRAMS:
        raise ValueError(f"conf/lesson/{name}.yaml: a command begins with {' or '.join(PROGRAMS)}, not {program}")
    return Experiment(program, tuple(words), bool(options.get("tune")), bool(options.get("all_rates")))


def command_of(experiment: Experiment) -> str:
    """An experiment as a user types it."""
    many = ["-m"] if experiment.program == "train" and any("," in word for word in experiment.words) else []
    return " ".join(["python -m initlab." + experiment.program, *many, *map(_quoted, experiment.words)])


def _quoted(word: str) -> str:
    return shlex.quote(word) if any(sign in word for sign in ' ()*$"') else word


def folders_of(lesson: Lesson, root: Path) -> Mapping[str, Path]:
    """By the name of an experiment, where its results lie."""
    return {key: root / name for key, name in study_names(lesson).items()}


def study_names(lesson: Lesson) -> Mapping[str, str]:
    """By the name of an experiment, that of its study."""
    return {key: f"{lesson.name}-{key}" for key in lesson.experiments}


def read_answer(lesson: Lesson, root: Path) -> str:
    """What became of the claim in the last run, such as `holds`; empty where there was none."""
    try:
        return str(json.loads((root / lesson.name / VERDICT).read_text(encoding="utf-8"))["answer"])
    except (OSError, ValueError, KeyError):
        return ""
