"""What a person reads while initlab runs: the terminal, and what libraries may say there."""

import codecs
import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator
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


def say(console: Console, text: str) -> None:
    """Print text unchanged: no markup, no colours, no line breaks added, so that it can be copied.

    Args:
        console: Where to print, as `open_console` makes it.
        text: One message; line breaks in it are kept.
    """
    console.print(text, soft_wrap=True, highlight=False, markup=False)


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
