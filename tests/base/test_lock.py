"""One process at a time holds a file, and what is said to the others."""

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from initlab.base.errors import UserError
from initlab.base.lock import locked

# Says when it holds the lock, and keeps it until its standard input ends.
HOLDER = """
import sys
from pathlib import Path
from initlab.base.lock import locked
with locked(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path: Path, how: str = "alone") -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(path), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_another_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "study" / ".lock"
    path.parent.mkdir()
    with locked(path):  # a former one, of whom nothing is said
        pass
    with holder(path) as process:
        for shared in (False, True):
            with pytest.raises(UserError) as refused, locked(path, shared=shared):
                pass
            (line,) = str(refused.value).splitlines()
            assert line.startswith(f"{path.parent}: process {process.pid} on {platform.node()} is at work here; ")
            assert "name=NAME" in line


def test_it_is_held_again_when_it_was_let_go(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    for _ in range(2):
        with locked(path):
            assert f'"pid": {os.getpid()}' in path.read_text()
    with pytest.raises(ArithmeticError), locked(path):
        raise ArithmeticError
    with locked(path):
        assert path.exists()
    assert path.exists()  # another may wait for this very file


def test_the_death_of_the_holder_lets_go_of_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path) as process:
        process.kill()
        process.wait(timeout=60)
        with locked(path):
            assert f'"pid": {os.getpid()}' in path.read_text()


def test_those_who_share_hold_it_together_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path, "shared"):
        with locked(path, shared=True), locked(path, shared=True):
            pass
        with pytest.raises(UserError, match="is at work here"), locked(path):
            pass
    with locked(path):
        pass


def test_one_that_waits_comes_next(tmp_path: Path) -> None:
    path, order = tmp_path / ".lock", list[str]()
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        with locked(path, wait=True):
            order.append("the one that waited")

    with holder(path) as process:
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert waiting.wait(60)
        thread.join(0.2)
        assert thread.is_alive()
        assert order == []
        process.kill()
        thread.join(60)
    assert order == ["the one that waited"]


def test_a_holder_that_has_not_written_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with holder(path):
        for text in ("", "{", '{"host": "somewhere"}', "[]"):
            path.write_text(text)
            with pytest.raises(UserError, match="another process is at work here"), locked(path):
                pass


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal = pytest.raises(UserError, match=r"file/.lock: cannot be locked .*set output_dir=DIR")
    with refusal, locked(tmp_path / "file" / ".lock"):
        pass
