"""One process at a time: in a sweep's folder, on a GPU, or on a store that several processes would create."""

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from initlab.base.errors import UserError

try:
    import fcntl
except ImportError:  # no POSIX: folders are not locked
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock file while this context lasts, and write into it which process holds it.

    The system releases the lock when the process ends, however it ends. Where there is no POSIX locking, as on Windows,
    nothing is locked.

    Args:
        path: The lock file. It is made where it is missing, and so is its folder; both stay afterwards.
        shared: Whether other processes may hold it at the same time, if they share it, too: so do the jobs that a
            launcher runs as processes of their own.
        wait: Whether to wait until it is free; else a lock that another process holds is an error.

    Raises:
        UserError: another process holds it, with that one's host and process id; or the file cannot be locked.
    """
    if fcntl is None:
        yield
        return
    with contextlib.ExitStack() as opened:
        try:
            while True:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = opened.enter_context(path.open("a+"))
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
                if _is_at(file, path):  # else its holder has removed it meanwhile
                    break
        except BlockingIOError as error:
            raise UserError(
                f"{path.parent}: {_holder(file)} is at work here; wait for it, or choose another name=NAME"
            ) from error
        except OSError as error:
            raise UserError(f"{path}: cannot be locked ({error.strerror}); set output_dir=DIR") from error
        with contextlib.suppress(OSError):  # a full disk: only the message to others suffers
            file.truncate(0)
            file.write(json.dumps({"host": platform.node(), "pid": os.getpid()}))
            file.flush()
        yield


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file still is the one that a path names."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
