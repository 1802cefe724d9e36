"""Environments that the peers run in, made from lists of pinned packages and used again while these stay the same."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[2]
PEERS: Final = ("jax", "keras", "initlab")  # plain Lightning runs in that of initlab, with the same torch


def default_folder() -> Path:
    """Where environments are kept unless --environments says otherwise: in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "initlab" / "peers"


def list_of(peer: str) -> Path:
    """The file with a peer's pinned packages."""
    return HERE / f"requirements-{peer}.txt"


def pinned(text: str) -> dict[str, str]:
    """The packages of a list with their versions.

    Args:
        text: Lines of the form name==version; empty ones and comments do not count.

    Raises:
        ValueError: a line is of another form, or a package stands there twice.
    """
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    found: dict[str, str] = {}
    for line in lines:
        name, equals, version = line.partition("==")
        if not (name and equals and version) or name in found:
            raise ValueError(f"{line}: expected name==version, and each name once")
        found[name] = version
    return found


def place_of(peer: str, folder: Path) -> Path:
    """Folder of a peer's environment; another list, another Python or, of initlab, another checkout has another one.

    Args:
        peer: Its name, as in `requirements-NAME.txt`.
        folder: Where all environments are kept.
    """
    pins = sorted(pinned(list_of(peer).read_text(encoding="utf-8")).items())
    made_of = [platform.python_version(), str(pins)]
    if peer == "initlab":  # which is installed from this checkout
        made_of.append(str(ROOT))
    digest = hashlib.sha256(" ".join(made_of).encode()).hexdigest()
    return folder / f"{peer}-{digest[:12]}"


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment, which is made first where there is none.

    Args:
        peer: Its name, as in `requirements-NAME.txt`.
        folder: Where all environments are kept.
    """
    place = place_of(peer, folder)
    python = place / "bin" / "python"
    complete = place / "complete"  # written last: what was interrupted is made anew
    if not complete.exists():
        sys.stderr.write(f"making the environment of {peer} in {place}\n")
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        install: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", list_of(peer)]
        if subprocess.run(install, check=False).returncode:
            raise SystemExit(f"peers: pip could not install {list_of(peer).name} (see above); is the index in reach?")
        if peer == "initlab":  # for what it is called and its version: its code is that of the checkout
            own: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-e", ROOT]
            if subprocess.run(own, check=False).returncode:
                raise SystemExit(f"peers: pip could not install {ROOT} (see above); is the index in reach?")
        complete.touch()
    return python
