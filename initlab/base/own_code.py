"""Code of the user's own: which it is, where it failed, and what it was, so that results do not outlive it."""

import ast
import hashlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

from initlab.base.errors import OwnCodeError, first_line
from initlab.base.files import PACKAGE

HELPERS: Final = PACKAGE.parent / "hydra_plugins" / "initlab_launcher"


def is_own(file: str | None) -> bool:
    """Whether a file of Python is the user's: neither initlab's, nor the standard library's, nor an installed one's."""
    if not file or file.startswith("<") or not file.endswith(".py"):
        return False
    path = Path(file).resolve()
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in (PACKAGE, HELPERS, *_library_folders()))


@cache
def _library_folders() -> tuple[Path, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(Path(sysconfig.get_path(kind)).resolve() for kind in kinds)


def own_fault(error: Exception, what: str) -> OwnCodeError | None:
    """An exception as an `OwnCodeError`, where it comes out of the user's own code; else None.

    Example:
        >>> from initlab.base.own_code import own_fault
        >>> try:
        ...     int("x")
        ... except ValueError as error:
        ...     print(own_fault(error, "init=mine failed"))
        None

    Args:
        error: What was raised, as it was caught.
        what: What was going on, for the message, e.g. `"init=mine failed"`.
    """
    place = own_place(error)
    return OwnCodeError(f"{what}: {type(error).__name__}: {first_line(error)} ({place})") if place else None


def own_place(error: Exception) -> str:
    """Where in the user's own code an exception comes from: `mine.py, line 3, in make`; empty where it does not.

    Args:
        error: What was raised, as it was caught.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    if not frames:
        return ""
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name}"


def reason_of(error: Exception) -> str:
    """Why a module cannot be imported, in one line, with the place in the user's own code if the fault is there.

    Args:
        error: What importing it raised.
    """
    reason, place = f"{type(error).__name__}: {' '.join(str(error).split())}", own_place(error)
    return f"{reason} ({place})" if place else reason


def own_sources(modules: Iterable[str]) -> dict[str, str]:
    """Hashes of the user's own files that some modules are made of, with all that these import, at any depth.

    Which files these are follows from what is written in them, not from what has been imported so far: it is the same
    in every process.

    Args:
        modules: Dotted names; those of libraries, and those that cannot be found, add nothing.

    Returns:
        By module name, in order of the names, the SHA-256 of its file in hexadecimal.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        waiting += [name.rpartition(".")[0]] if "." in name else []
        spec = _own_spec(name)
        if spec is None or spec.origin is None:
            continue
        digest, imported = _read_source(spec.origin, Path(spec.origin).stat().st_mtime_ns, name)
        found[name] = digest
        waiting += imported
    return dict(sorted(found.items()))


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal; kept while the file has the same size and time of change."""
    found = path.stat()
    return _hash_of(str(path), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash_of(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_spec(name: str) -> ModuleSpec | None:
    """Where a module of the user's lies; None for any other. No module of a library is imported to find out."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("initlab", "hydra_plugins"):
        return None
    spec = _spec(top)
    if spec is None:
        return None
    if not is_own(spec.origin) and not _is_own_namespace(spec):
        return None
    spec = _spec(name)
    return spec if spec is not None and is_own(spec.origin) else None


def _is_own_namespace(spec: ModuleSpec) -> bool:
    """Whether a package is a plain folder of the user's, without an `__init__.py`."""
    return spec.origin is None and any(
        is_own(str(Path(folder) / "_.py")) for folder in spec.submodule_search_locations or ()
    )


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except Exception:  # whatever importing the package that it is in raises: who needs it will say so
        return None


@lru_cache(maxsize=1024)
def _read_source(file: str, _changed: int, name: str) -> tuple[str, tuple[str, ...]]:
    """The hash of a file, and the names of the modules that it may import."""
    content = Path(file).read_bytes()
    try:
        imported = tuple(_imports(ast.parse(content), name, is_package=Path(file).name == "__init__.py"))
    except SyntaxError:
        imported = ()
    return hashlib.sha256(content).hexdigest(), imported


def _imports(tree: ast.AST, name: str, *, is_package: bool) -> Iterator[str]:
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module:
                yield module
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in node.names)
