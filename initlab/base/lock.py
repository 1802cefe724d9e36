"""One process at a time: on a sweep's folder, on a GPU, on a store that several would make."""

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
    """Hold a file that stands for something, and say who does; the system lets go of it with the process.

    Args:
        path: In a folder that exists; the file stays.
        shared: Others may hold it too, if they share: jobs that a launcher runs as processes of their own.
        wait: Until nobody else holds it.

    Raises:
        UserError: another process holds it; with that one's host and process id.
    """
    if fcntl is None:
        yield
        return
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("a+"))
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
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


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
