"""Every lesson runs: its experiments, its tables, its verdict, its picture and its page, at the smallest size.

At once those of `AT_ONCE`, one or more of each topic; the others are slow. What is their own, how they judge and what
they draw, their own tests try on tables that are made, and tests/lessons/test_lessons.py composes their experiments.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from rich.console import Console

from initlab.cli.run_textbook import run_lesson
from initlab.figures.style import INK, dark_figures
from initlab.lessons.chapter import draw_of, finding_of
from initlab.lessons.finding import WORDS, Tables
from initlab.lessons.lesson import Experiment, Lesson, lesson_names, read_answer, read_lesson
from initlab.lessons.site import page_of

SEEDS: Final = 2
AT_ONCE: Final = (
    *("symmetry", "he_deep", "lecun_tanh", "too_small", "variance", "speed", "orthogonal"),
    *("input_scale", "pretrained", "residual", "seeds", "tutorial_wine"),
)
MADE_ON: Final = ("date", "device", "cores", "initlab", "torch", "python")
SMALL: Final = {
    "batch_size": "512",
    "trainer.max_epochs": "1",
    "data.test_fraction": "0.8",
    "threads": "1",
    "n_jobs": "1",
}
# In place of one value, and of several.
SMALLER: Final = {
    "model.depth": ("3", "2,3"),
    "model.width": ("8", "12,8"),
    "model.hidden": ("[16,8,4]", "[16,8,4]"),
    "optim.lr": ("0.01", "0.01"),
}
# What verdicts can do without, and what they need more of: to compose a job takes longer than to train it.
FEWER: Final[Mapping[str, Mapping[str, str]]] = {
    "adam": {"init.std": "0.01,1"},
    "batch_norm": {"init.std": "0.01,1"},
    "clipping": {"optim.lr": "0.01,0.1"},
    "constant": {"activation": "relu,tanh", "init.value": "0.1,1"},
    "cost": {"init": "he,orthogonal,lsuv,metainit"},
    "dying_relu": {"optim.lr": "0.01,0.1", "init.scale": "0.02,2"},
    "learning_rate": {"optim.lr": "0.01,0.1", "init": "he,normal", "activation": "relu,tanh"},
    "local_minima": {"init.std": "0.01,1"},
    "pretrained": {"data.test_fraction": "0.5,0.8"},
    "residual": {"init": "zeros,he"},
    "saturation": {"init.gain": "1,16"},
    "seeds": {"init": "he,xavier"},
    "speed": {"init.std": "0.01,1"},
    "symmetry": {"activation": "relu,tanh"},
    "task": {"data": "digits,spirals", "init": "normal,he"},
    "too_large": {"init.std": "0.18,1"},
    "too_small": {"init.std": "0.01,0.18"},
    "uniform_normal": {"data": "digits,teacher"},
    "variance": {"init.std": "0.0221,0.1768"},
    "zero_bias": {"optim.lr": "0.01,0.1", "data": "digits,spirals"},
}


def tiny(lesson: Lesson) -> Lesson:
    """The same lesson with few rows, layers, units, rates and kinds of networks, for one epoch."""
    fewer = FEWER.get(lesson.name, {})
    return replace(lesson, experiments={key: _tiny(each, fewer) for key, each in lesson.experiments.items()})


def _tiny(experiment: Experiment, fewer: Mapping[str, str]) -> Experiment:
    given = dict(word.split("=", 1) for word in experiment.words)
    values = {key: _smaller(key, value, fewer) for key, value in given.items()}
    once = {key: value for key, value in SMALL.items() if "," not in given.get(key, "")}
    return replace(experiment, words=tuple(f"{key}={value}" for key, value in (values | once).items()))


def _smaller(key: str, value: str, fewer: Mapping[str, str]) -> str:
    several = "," in value
    if several and key in fewer:
        return fewer[key]
    return SMALLER[key][several] if key in SMALLER else value


def lessons() -> list[Any]:
    """All lessons, those of `AT_ONCE` first."""
    slow = pytest.mark.slow
    return [*AT_ONCE, *(pytest.param(name, marks=slow) for name in lesson_names() if name not in AT_ONCE)]


@pytest.mark.parametrize("name", lessons())
def test_a_lesson_runs_from_its_commands_to_its_page(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a study says of itself goes nowhere in a lesson, and is tested where it is shown.
    monkeypatch.setattr("initlab.cli.run_train.explain_failures", lambda _: None)
    monkeypatch.setattr("initlab.cli.run_train.conclude_study", lambda *_, **__: None)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)  # a third of what pictures take
    lesson, terminal = tiny(read_lesson(name)), io.StringIO()
    tables = run_lesson(lesson, Console(file=terminal, width=10_000), root=tmp_path, seeds=SEEDS)
    said = terminal.getvalue()
    verdict = f"Undecided at this size: {SEEDS} networks of a kind decide nothing here; it takes {lesson.seeds}."
    assert verdict in said
    assert read_answer(lesson, tmp_path) == "undecided"
    # With as many networks as it rests on, its own statistics would have the word.
    finding = finding_of(lesson, tables, seeds=lesson.seeds)
    assert str(finding).startswith(WORDS[finding.answer])
    for sentence in (*finding.seen, finding.certainty):
        assert sentence in said
        assert not re.search(r"\b(nan|None|inf)\b", sentence)
    chapter = (tmp_path / name / "report.html").read_text(encoding="utf-8")
    assert "Undecided at this size" in chapter
    assert "data:image/svg+xml" in chapter
    assert (tmp_path / name / "figures" / f"{name}.svg").stat().st_size > 1000
    page = page_of(lesson, tables, {"seeds": SEEDS, **dict.fromkeys(MADE_ON, "x")})
    assert f"**{verdict}**" in page
    assert all(f"- {sentence}\n" in page for sentence in finding.seen)
    light, dark = draw_of(lesson)(tables), draw_dark(lesson, tables)
    for figure in (light, dark):
        assert all(np.isfinite(axes.dataLim.get_points()).all() or axes.texts for axes in figure.axes)
    assert {label_color(axes) for axes in dark.axes} == {INK}
    assert {label_color(axes) for axes in light.axes} == {"black"}


def draw_dark(lesson: Lesson, tables: Tables) -> Figure:
    """A lesson's picture as the site shows it on a dark page."""
    with dark_figures():
        return draw_of(lesson)(tables)


def label_color(axes: Axes) -> str:
    """The colour of what is written below a panel."""
    return str(axes.xaxis.label.get_color())
