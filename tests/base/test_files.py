"""A file is whole or absent, whatever happens while it is written."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from initlab.base.files import TOGETHER, finish_together, remove_partial, write_together, write_whole

# Kills itself when half of the file is written.
DYING = """
import os, signal, sys
from pathlib import Path
from initlab.base.files import write_whole

def write(partial):
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

write_whole(Path(sys.argv[1]), write)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_appears_whole_and_in_place_of_a_former_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "table.csv"
    for content in ("first", "second"):
        seen = list[bool]()

        def write(partial: Path, content: str = content, seen: list[bool] = seen) -> None:
            assert partial.parent == path.parent  # a rename is one step on one file system only
            partial.write_text(content[:2])
            seen.append(path.exists() and path.read_text() == content)
            partial.write_text(content)

        write_whole(path, write)
        assert seen == [False]
        assert path.read_text() == content
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"])
@pytest.mark.parametrize("former", [None, "former"])
def test_a_failing_write_leaves_what_was_there(error: BaseException, former: str | None, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    if former is not None:
        path.write_text(former)

    def write(partial: Path) -> None:
        partial.write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_whole(path, write)
    assert names(tmp_path) == ([] if former is None else ["table.csv"])
    assert former is None or path.read_text() == former


def test_what_a_killed_process_leaves_is_no_file_and_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "job" / "members.parquet"
    done = subprocess.run([sys.executable, "-c", DYING, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".members.parquet.")
    assert left.endswith(".partial")
    path.write_text("whole")
    (tmp_path / "notes.partial").write_text("a user's own")
    remove_partial(tmp_path)
    assert names(tmp_path) == ["members.parquet", "notes.partial"]


def write_both(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in ("one", "two"):
            (folder / name).write_text(text)

    return write


def test_files_are_replaced_together(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "job"
    for text in ("first", "second"):
        write_together(folder, write_both(text), last="one")
        assert {path.name: path.read_text() for path in folder.iterdir()} == {"one": text, "two": text}


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"])
def test_files_that_cannot_all_be_written_leave_the_former_ones(error: BaseException, tmp_path: Path) -> None:
    write_together(tmp_path, write_both("first"), last="one")

    def write(folder: Path) -> None:
        (folder / "one").write_text("second")
        raise error

    with pytest.raises(type(error)):
        write_together(tmp_path, write, last="one")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "first", "two": "first"}


def test_a_killed_move_is_finished_with_the_last_file_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_together(tmp_path, write_both("first"), last="one")
    moved = list[str]()
    replace = Path.replace

    def one_move(path: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(target.name)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", one_move)
        with pytest.raises(KeyboardInterrupt):
            write_together(tmp_path, write_both("second"), last="one")
    assert moved == ["two"]
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", TOGETHER}
    finish_together(tmp_path, last="one")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one": "second", "two": "second"}


def test_two_processes_may_write_one_file(tmp_path: Path) -> None:
    """Each under a name of its own: neither ends with a half of the other's."""
    path = tmp_path / "table.csv"

    def write(partial: Path) -> None:
        partial.write_text("ours")
        other = (
            "from initlab.base.files import write_whole; from pathlib import Path; import sys\n"
            "write_whole(Path(sys.argv[1]), lambda partial: partial.write_text('theirs'))"
        )
        subprocess.run([sys.executable, "-c", other, str(path)], check=True)
        assert path.read_text() == "theirs"
        assert str(os.getpid()) in partial.name

    write_whole(path, write)
    assert path.read_text() == "ours"
    assert names(tmp_path) == ["table.csv"]


def test_there_may_be_nothing_to_remove(tmp_path: Path) -> None:
    remove_partial(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []  # nor was it made
    for name in ("table.csv", ".hidden", "job/.table.csv.1.partial", "job/notes.partial"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    remove_partial(tmp_path)
    remove_partial(tmp_path)
    assert names(tmp_path) == [".hidden", "notes.partial", "table.csv"]
