"""Errors that the user can put right, each as one line."""

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """Something the user can put right: one line that says what was wrong, where, and what to do.

    Attributes:
        exit_code: What the command exits with: 2, as after a misspelt command line.
    """

    exit_code = 2


class RefusedError(UserError):
    """A job whose initializer does not fit its network. The other jobs of a sweep still train."""


class OwnCodeError(UserError):
    """An exception from code of the user's own: an initializer, a network, a function that loads data.

    The message says where in that code it was raised; the exception itself is the cause.

    Attributes:
        exit_code: 1, as the command line was right.
    """

    exit_code = 1


class JobsFailedError(UserError):
    """Some jobs of a sweep failed while they ran; the others are finished.

    Attributes:
        exit_code: 1, as the command line was right.
    """

    exit_code = 1


class InitializationWarning(UserWarning):
    """An initializer did not reach what it aims at; training goes on with what it did reach."""


class OwnFaultError(Exception):
    """An error of the operating system in the midst of initlab's own work: a fault of initlab, not of the user."""


@contextlib.contextmanager
def own_work() -> Iterator[None]:
    """Mark every `OSError` in this context as one that initlab met, so that it is not taken for one that Hydra met.

    Raises:
        OwnFaultError: in place of an `OSError` from inside.
    """
    try:
        yield
    except OSError as error:
        raise OwnFaultError(f"{type(error).__name__}: {error}") from error


def was_interrupted(error: BaseException) -> bool:
    """Whether an error came of the user's Ctrl-C.

    Where that meets a thread that waits for a lock, Python's own code raises another error on top of it.

    Args:
        error: As it was caught.
    """
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen is not None


def first_line(error: Exception) -> str:
    """The first line of an error's message; the name of its class where the message is empty."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of the known names were probably meant, and list them all, as the end of an error message.

    Example:
        >>> nearest("xaiver", ["he", "xavier"])
        'did you mean xavier? known: he, xavier'

    Args:
        name: What was typed instead of a known name.
        known: The names there are, in any order.
    """
    names = sorted(known)
    close = closest(name, names)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}known: {', '.join(names)}"


def closest(name: str, known: Iterable[str], *, cutoff: float = 0.55) -> list[str]:
    """At most three of the known names that were probably meant: those spelt alike; else those that begin so.

    Example:
        >>> closest("xaiver", ["he", "xavier"]), closest("he", ["he_normal", "xavier"])
        (['xavier'], ['he_normal'])

    Args:
        name: What was typed instead of a known name.
        known: The names there are, in any order.
        cutoff: How alike, from 0 to 1, as `difflib` has it.
    """
    by_lower_case = {other.lower(): other for other in sorted(known, reverse=True)}
    if name.lower() in by_lower_case:
        return [by_lower_case[name.lower()]]
    alike = difflib.get_close_matches(name.lower(), by_lower_case, n=3, cutoff=cutoff)
    begun = [word for word in sorted(by_lower_case) if len(name) > 1 and word.startswith(name.lower())]
    return [by_lower_case[word] for word in alike or begun[:3]]
