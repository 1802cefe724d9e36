"""What a person reads while initlab runs: the terminal, and what libraries may say there."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from initlab.base.errors import InitializationWarning


def open_console() -> Console:
    """The terminal; a file or pipe has no width to keep to."""
    console = Console()
    return console if console.is_terminal else Console(width=160)


def say(console: Console, text: str) -> None:
    """Print text as it is: no markup, and no line breaks of its own, so that it can be copied."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def quiet_libraries() -> None:
    """Keep Lightning from reporting on devices and tips; warnings still show."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*srun.*")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Say what an initializer did not reach in one line, without the place in the code."""
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
