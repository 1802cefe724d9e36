"""Errors that are the user's to mend, each as one line."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """Something the user can mend: one line that says what was wrong, where, and what to do."""

    exit_code = 2


class RefusedError(UserError):
    """A job whose initializer and network do not fit; in a sweep the others train."""


class JobsFailedError(UserError):
    """Some jobs of a sweep failed while they ran; the others are finished."""

    exit_code = 1


class InitializationWarning(UserWarning):
    """An initializer did not reach what it aims at; training goes on with what it reached."""


class OwnFaultError(Exception):
    """An error of the operating system that initlab met at its own work, and did not expect: ours to mend."""


@contextlib.contextmanager
def own_work() -> Iterator[None]:
    """Tell errors of the operating system that initlab itself meets from those that Hydra meets around it.

    Raises:
        OwnFaultError: from an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise OwnFaultError(f"{type(error).__name__}: {error}") from error


def first_line(error: Exception) -> str:
    """What an error says, in one line: its first, or its kind where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of the known names were probably meant, and which there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.55)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}known: {', '.join(names)}"
