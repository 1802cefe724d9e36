"""What a person reads while initlab runs: the terminal, and what libraries may say there."""

import codecs
import contextlib
import io
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from rich.console import Console

from initlab.base.errors import InitializationWarning, UserError

# What stands for a character that the output cannot show.
STANDS_FOR = {
    **{"—": "-", "–": "-", "−": "-", "‑": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"', "•": "*"},
    **{"≈": "~", "≤": "<=", "≥": ">=", "≠": "!=", "×": "x", "·": "*", "±": "+-", "√": "sqrt ", "∞": "inf", "→": "->"},
    **{"²": "^2", "³": "^3", "½": "1/2", "ₖ": "_k", "∂": "d", "∑": "sum", "Σ": "sum", "∈": "in"},
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "η": "eta", "λ": "lambda", "μ": "mu", "µ": "mu"},
    **{"ν": "nu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ω": "omega", "ξ": "xi"},
}
NOTEBOOK = 100  # letters that fit into a line of a cell
READABLE = "initlab.readable"  # the error handler's name


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """For characters that an encoding lacks, others that say the same; `?` where none do."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(STANDS_FOR.get(character, "?") for character in lacking), error.end


codecs.register_error(READABLE, _stand_in)


def survive_any_encoding() -> None:
    """Let whatever is printed be printed, in the encoding that standard output and standard error have.

    A character that the encoding lacks is replaced: a dash by `-`, `≈` by `~`, others by `?`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=READABLE)


def open_console() -> Console:
    """Open the console that people read: as wide as the terminal, or as COLUMNS says; else 160 columns.

    In a cell of a notebook, where it is `!python -m initlab.train` that runs, it is 100 wide, and nothing moves: there
    a line stays as it was written first.
    """
    if _in_notebook():
        return Console(width=NOTEBOOK, force_terminal=False)
    console = Console()
    return console if _has_width(console) else Console(width=160)


def _has_width(console: Console) -> bool:
    """Whether somebody reads lines of a certain width, rather than a file or a program lines of any."""
    return console.is_terminal or _in_notebook() or os.environ.get("COLUMNS", "").isdigit()


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter has started this process."""
    return "JPY_PARENT_PID" in os.environ


def say(console: Console, text: str) -> None:
    """Print words: no markup, no colours. What is too long for the terminal goes on in the next line, between words.

    Args:
        console: Where to print, as `open_console` makes it.
        text: One message; line breaks in it are kept.
    """
    if _has_width(console):
        text = "\n".join(_wrapped(line, console.width) for line in text.split("\n"))
    say_as_is(console, text)


def _wrapped(line: str, width: int) -> str:
    """A line, broken between words, and indented as it is; a word that is longer, such as a path, stays whole."""
    indent = line[: len(line) - len(line.lstrip(" "))]
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def say_as_is(console: Console, text: str) -> None:
    """Print a command, or lines of code: no line breaks added, so that it can be copied.

    Args:
        console: Where to print, as `open_console` makes it.
        text: One message; line breaks in it are kept.
    """
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _warn(text: str) -> None:
    """Print a line to standard error; in a terminal it goes on in the next line between words, as in `say`."""
    console = Console(stderr=True)
    sys.stderr.write((_wrapped(text, console.width) if _has_width(console) else text) + "\n")


def stop(error: UserError) -> NoReturn:
    """Say what was wrong in one line and leave."""
    _warn(f"initlab: {' '.join(str(error).split())}")
    sys.exit(error.exit_code)


def quiet_libraries() -> None:
    """Keep Lightning from reporting on devices, giving tips and hinting at srun; other warnings still show.

    It is asked again where a trainer is built, as Lightning's import makes it talk.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*srun.*")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Show an `InitializationWarning` as one line while this context lasts, without the place in the code.

    The same line is shown once, though a job's networks may be built at several times; within another such context it
    is that one's to know what was shown. Warnings of other kinds are shown as usual.
    """
    usual, shown = warnings.showwarning, set[str]()
    if getattr(usual, "shows_plain_warnings", False):
        yield
        return

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, InitializationWarning):
            if str(message) not in shown:
                shown.add(str(message))
                _warn(f"initlab: {message}")
        else:
            usual(message, category, *place)

    show.shows_plain_warnings = True  # type: ignore[attr-defined]  # for contexts within this one
    warnings.showwarning = show  # type: ignore[assignment]  # *place: whatever Python passes on
    try:
        yield
    finally:
        warnings.showwarning = usual
