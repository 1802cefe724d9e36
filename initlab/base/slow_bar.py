"""A bar for what turns out to take a while, where somebody looks."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

PATIENCE: Final = 2.0  # seconds without a word


@contextlib.contextmanager
def slow_bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal once something takes over two seconds; it is gone in the end.

    Example:
        >>> with slow_bar("filling", 3) as advance:
        ...     for _ in range(3):
        ...         advance()

    Args:
        what: What is going on, in a word or two.
        total: How many steps there are.

    Returns:
        A function to call after each step.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # only where there is a terminal
    from rich.progress import Progress

    start, done = time.monotonic(), 0
    bar = Progress(console=Console(stderr=True), transient=True)
    shown = None

    def advance() -> None:
        nonlocal done, shown
        done += 1
        if shown is None and time.monotonic() - start > PATIENCE:
            bar.start()
            shown = bar.add_task(what, total=total)
        if shown is not None:
            bar.update(shown, completed=done)

    try:
        yield advance
    finally:
        bar.stop()
