"""Where a person reads: the terminal, or the file or pipe that stands for it."""

from rich.console import Console


def open_console() -> Console:
    """The terminal; a file or pipe has no width to keep to."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
