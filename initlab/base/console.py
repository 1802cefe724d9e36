"""What a person reads while initlab runs: the terminal, and what libraries may say there."""

import codecs
import contextlib
import io
import logging
import sys
import textwrap
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

from rich.console import Console

from initlab.base.errors import InitializationWarning

# What stands for a character that the output cannot show.
STANDS_FOR = {
    **{"—": "-", "–": "-", "−": "-", "‑": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"', "•": "*"},
    **{"≈": "~", "≤": "<=", "≥": ">=", "≠": "!=", "×": "x", "·": "*", "±": "+-", "√": "sqrt ", "∞": "inf", "→": "->"},
    **{"²": "^2", "³": "^3", "½": "1/2", "ₖ": "_k", "∂": "d", "∑": "sum", "Σ": "sum", "∈": "in"},
    **{"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "η": "eta", "λ": "lambda", "μ": "mu", "µ": "mu"},
    **{"ν": "nu", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ω": "omega", "ξ": "xi"},
}
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
    """Open the console that people read: as wide as the terminal, or 160 columns in a file or a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def say(console: Console, text: str, *, to_paste: bool = False) -> None:
    """Print text as it is: no markup, no colours; in a terminal lines that are too long are broken between words.

    Args:
        console: Where to print, as `open_console` makes it.
        text: One message; line breaks in it are kept, and its further lines are indented like the first.
        to_paste: Whether it is a command or code, which no line break may be added to.
    """
    if console.is_terminal and not to_paste:
        text = "\n".join(_wrapped(line, console.width) for line in text.split("\n"))
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _wrapped(line: str, width: int) -> str:
    """A line broken between words; what is longer than the width, as a path may be, is left whole."""
    indent = line[: len(line) - len(line.lstrip())]
    words = partial(textwrap.fill, break_long_words=False, break_on_hyphens=False)
    return words(line, width, subsequent_indent=indent) if len(line) > width else line


def quiet_libraries() -> None:
    """Keep Lightning from reporting on devices, giving tips and hinting at srun; other warnings still show."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*srun.*")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Show an `InitializationWarning` as one line while this context lasts, without the place in the code.

    Warnings of other kinds are shown as usual.
    """
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, InitializationWarning):
            sys.stderr.write(f"initlab: {message}\n")
        else:
            usual(message, category, *place)

    warnings.showwarning = show  # type: ignore[assignment]  # *place: whatever Python passes on
    try:
        yield
    finally:
        warnings.showwarning = usual
