"""Files that are either whole or absent, even if the process is killed while it writes."""

import contextlib
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

PACKAGE: Final = Path(__file__).resolve().parent.parent  # where initlab is, in a checkout or installed
TOGETHER: Final = ".together"  # in a folder: files that are to replace former ones together, all of them whole
BEGUN: Final = ".begun"  # how the name of their folder begins before all of them are


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name and rename it, so that nobody ever sees half of it.

    Example:
        >>> write_whole(Path("outputs/summary.csv"), lambda partial: table.to_csv(partial))  # doctest: +SKIP

    Args:
        path: The file; its folder is made where it is missing, and a former file is replaced.
        write: Writes the content to the path that it is given, a hidden file in the same folder.

    Raises:
        OSError: the file cannot be written, e.g. on a full disk; a former file is then still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may write the same file, and not only on this machine.
    partial = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text_whole(path: Path, text: str) -> None:
    """Write a text in UTF-8 as `write_whole` writes a file.

    Args:
        path: The file; its folder is made where it is missing, and a former file is replaced.
        text: All that it will hold.

    Raises:
        OSError: the file cannot be written, e.g. on a full disk; a former file is then still there.
    """
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_together(folder: Path, write: Callable[[Path], Any], *, last: str) -> None:
    """Write several files of a folder in place of former ones, all of them or none, whenever the process is killed.

    They are written to a hidden folder, which is renamed when it is whole: with that it is done. What is left is to
    move the files to their places; where a kill prevents it, `finish_together` does it later. Until then the files of
    `folder / TOGETHER` are those that count.

    Args:
        folder: Where the files go; it is made where it is missing.
        write: Writes them to the folder that it is given.
        last: Name of the file that is moved to its place as the last of all.

    Raises:
        OSError: they cannot be written, e.g. on a full disk; the former ones are then still there.
    """
    finish_together(folder, last=last)
    begun = folder / f"{BEGUN}.{platform.node()}.{os.getpid()}"
    shutil.rmtree(begun, ignore_errors=True)
    try:
        begun.mkdir(parents=True)
        write(begun)
        begun.rename(folder / TOGETHER)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    finish_together(folder, last=last)


def finish_together(folder: Path, *, last: str) -> None:
    """Move the files to their places that a killed process had written to replace others together, if there are any.

    Args:
        folder: Where they belong, and where no other process is writing.
        last: As for `write_together`.
    """
    written = folder / TOGETHER
    if not written.is_dir():
        return
    for path in sorted(written.iterdir(), key=lambda path: (path.name == last, path.name)):
        path.replace(folder / path.name)
    written.rmdir()


def remove_partial(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder and below.

    Args:
        folder: Where no other process may be writing at this moment: its temporary files would go, too.
    """
    for path in folder.rglob(".*.partial"):
        path.unlink(missing_ok=True)
    for path in folder.rglob(f"{BEGUN}.*"):
        shutil.rmtree(path, ignore_errors=True)


def remove_bare(folder: Path, made: Iterable[Path] = ()) -> None:
    """Remove a study's folder if there is nothing in it but its lock, and what Hydra writes before any job.

    Args:
        folder: The study's folder, which need not exist.
        made: Folders above it that did not exist before, the innermost first; they go, too, if they are empty.
    """
    with contextlib.suppress(OSError):
        names = {path.name for path in folder.iterdir()}
        if names <= {".lock", "multirun.yaml"}:
            for name in names:
                (folder / name).unlink()
            folder.rmdir()
            for above in made:
                above.rmdir()
