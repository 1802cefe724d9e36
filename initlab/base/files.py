"""Files that are whole or absent, whenever a process is killed."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or absent.

        >>> write_whole(Path("outputs/summary.csv"), lambda partial: table.to_csv(partial))  # doctest: +SKIP

    Args:
        path: The file; its folder is made where it is missing.
        write: Writes the content to the path that it is given, on the same file system.

    Raises:
        OSError: the disk is full, say; a former file is still there then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may write the same file, and not only on this machine.
    partial = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove what a killed process was writing, in a folder and below; no other process may write there."""
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)
