"""What is printed fits the terminal, and can be copied."""

import io
import warnings

import pytest
from rich.console import Console

from initlab.base.console import open_console, plain_warnings, say, say_as_is
from initlab.base.errors import InitializationWarning

TEXT = (
    "  left out: a reason of many words that goes on and on\nsee outputs/a/folder/with/a/very/long/name/report.html now"
)


def said(text: str, **settings: object) -> list[str]:
    out = io.StringIO()
    say(Console(file=out, **settings), text)  # type: ignore[arg-type]
    return out.getvalue().splitlines()


def test_words_go_on_in_the_next_line_and_paths_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [
        "  left out: a reason of many", "  words that goes on and on", "see",
        "outputs/a/folder/with/a/very/long/name/report.html", "now",
    ]  # fmt: skip
    assert said(TEXT, force_terminal=True, width=30) == expected
    monkeypatch.delenv("COLUMNS", raising=False)
    assert said(TEXT, width=30) == TEXT.splitlines()  # a file has lines of any width
    monkeypatch.setenv("COLUMNS", "30")
    assert said(TEXT) == expected


def test_a_command_stays_in_its_line() -> None:
    out = io.StringIO()
    say_as_is(Console(file=out, force_terminal=True, width=10), "python -m initlab.report outputs/study")
    assert out.getvalue() == "python -m initlab.report outputs/study\n"


def test_columns_says_how_wide_a_pipe_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert open_console().width == 160
    monkeypatch.setenv("COLUMNS", "80")
    assert open_console().width == 80


def test_in_a_cell_of_a_notebook_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a kernel gives its commands a terminal, which cells do not have
    console = open_console()
    assert not console.is_terminal
    assert console.width == 100
    with console.capture() as seen:
        say(console, "word " * 30)
    assert max(map(len, seen.get().splitlines())) <= 100


@pytest.mark.filterwarnings("always::initlab.base.errors.InitializationWarning")
def test_what_an_initializer_warns_of_is_said_once_in_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Not for each look at a job's networks; what differs is said, and another command says it again."""
    for _ in range(2):
        with plain_warnings():
            for text in ("one", "two", "one"):
                with plain_warnings():
                    warnings.warn(text, InitializationWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == ["initlab: one", "initlab: two"] * 2
