"""Every lesson can be read and composed, and one of them runs as a student runs it."""

import errno
import importlib
import inspect
import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from initlab.base.errors import UserError
from initlab.cli.run_textbook import main, show_list
from initlab.lessons.finding import Finding, with_seeds
from initlab.lessons.lesson import VERDICT, Lesson, all_lessons, lesson_names, read_lesson
from tests.helpers import make_job
from tests.test_docs import jobs_of


@pytest.mark.parametrize("name", lesson_names())
def test_a_lesson_has_all_that_a_student_needs(name: str) -> None:
    lesson = read_lesson(name)
    module = importlib.import_module(f"initlab.lessons.claims.{name}")
    assert list(inspect.signature(module.judge).parameters) == ["tables"]
    assert list(inspect.signature(module.draw).parameters) == ["tables"]
    assert len(lesson.next) == 2
    assert all(command.startswith("python -m initlab.") for command in lesson.next)
    assert 0 < lesson.minutes <= 6
    assert lesson.seeds >= 10
    assert all(len(text) > 20 for text in (lesson.claim, lesson.question, lesson.look_at, lesson.why, lesson.change))


@pytest.mark.parametrize("name", lesson_names())
def test_the_first_job_of_what_to_try_next_composes(name: str) -> None:
    for command in read_lesson(name).next:
        program, _, words = command.removeprefix("python -m initlab.").partition(" ")
        if program in ("train", "probe"):
            make_job(*jobs_of(words)[0], config=program)
        elif program == "textbook":
            read_lesson(words)


@pytest.mark.parametrize("name", lesson_names())
def test_its_experiments_compose(name: str) -> None:
    for experiment in read_lesson(name).experiments.values():
        first, *_ = jobs_of(shlex.join(experiment.words))
        assert set(first) <= set(make_job(*first, config=experiment.program).typed)


def test_all_together_take_an_hour_at_most() -> None:
    assert sum(read_lesson(name).minutes for name in lesson_names()) < 60


def test_an_unknown_lesson_is_one_line_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"textbook symetry_relu: there is no such lesson; .*symmetry_relu"):
        read_lesson("symetry_relu")


def test_with_few_seeds_nothing_is_decided() -> None:
    lesson: Lesson = read_lesson("symmetry_relu")
    found = with_seeds(Finding("holds", (), ""), lesson, 3)
    assert str(found) == "Undecided at this size: 3 networks of a kind decide nothing here; it takes 10."
    assert with_seeds(Finding("holds", (), ""), lesson, 10).answer == "holds"


def test_a_lesson_runs_and_says_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["symmetry_relu", "--seeds", "2"])
    said = capsys.readouterr().out
    assert "Undecided at this size: 2 networks of a kind decide nothing here; it takes 10." in said
    assert "are copies of one, at the start" in said.replace("\n", " ")
    folder = tmp_path / "outputs" / "textbook" / "symmetry_relu"
    assert (folder / "report.html").exists()
    assert (folder / "figures" / "symmetry_relu.png").exists()
    assert (folder / "tables" / "trained.pairs.csv").exists()
    main([])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("symmetry_relu")]
    assert line.split()[-2:] == ["undecided", "0.3"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_list_has_each_lesson_under_its_topic_in_two_lines_at_most(width: int, tmp_path: Path) -> None:
    lessons = all_lessons()
    for lesson in lessons:
        (tmp_path / lesson.name).mkdir()
        (tmp_path / lesson.name / VERDICT).write_text('{"answer": "holds only where"}')  # the longest
    written = io.StringIO()
    show_list(Console(file=written, width=width), tmp_path)
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    starts = {line.split()[0]: place for place, line in enumerate(lines) if line and line[0] != " "}
    for lesson in lessons:
        first, second = lines[starts[lesson.name]], lines[starts[lesson.name] + 1]
        rest = second.strip() if second.startswith(" ") else ""
        shown = f"{lesson.title} holds only where {lesson.minutes:g}"
        assert sorted(f"{first} {rest}".split()) == sorted(f"{lesson.name} {shown}".split())
    topics = [line.strip() for line in lines if line.strip() in {lesson.topic for lesson in lessons}]
    assert topics == list(dict.fromkeys(lesson.topic for lesson in lessons))


def test_one_that_is_stopped_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("initlab.cli.run_train._train_cohorts", stopped)
        with pytest.raises(SystemExit) as left:
            main(["symmetry_relu", "--seeds", "2"])
    assert left.value.code == 130
    assert "stopped; what has finished is kept, and the same command goes on" in capsys.readouterr().out
    main(["symmetry_relu", "--seeds", "2"])


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("initlab.lessons.book.write_tables", full)
    with pytest.raises(SystemExit):
        main(["symmetry_relu", "--seeds", "2"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.endswith("symmetry_relu: cannot be written (No space left on device)")
