"""Which files of the user's own decide a job's results."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from initlab.activations import Activation
from initlab.base.own_code import file_hash, own_sources
from initlab.initializers import InitSpec, find_scheme


def sources_of(resolved: Mapping[str, Any], init: InitSpec) -> dict[str, str]:
    """Hashes of the files that a job's results depend on, beside its configuration and its data.

    Args:
        resolved: The configuration as plain data, without the keys that change no result.
        init: The rule for the initial weights, whose schemes may be of a plug-in.

    Returns:
        By name, SHA-256 in hexadecimal: the user's own modules by their file names, `hunch.py` or `mine/data.py`, and
        the files that `init` reads by their paths as they were given.
    """
    modules = {find_scheme(name).function.__module__ for name in _schemes(init)}
    modules |= {path.rpartition(".")[0] for path in _targets(resolved)}
    modules.add(Activation(resolved["activation"]["name"]).kind.build.__module__)
    return dict(sorted({**_modules(modules), **_files(resolved["init"])}.items()))


def data_sources_of(data: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the files that a data set is made of: by them it can be said why its rows are other ones now.

    Args:
        data: The group `data` of a configuration, as plain data.

    Returns:
        By name, SHA-256 in hexadecimal: files by their paths as they were given, and the user's own modules.
    """
    called = {word.rpartition(".")[0] for word in (data.get("call"), data.get("_target_")) if isinstance(word, str)}
    return dict(sorted({**_modules(called - {""}), **_files(data)}.items()))


def _modules(names: Iterable[str]) -> dict[str, str]:
    """The user's own files among some modules and what they import, by their names, with their hashes."""
    return {f"{name.replace('.', '/')}.py": digest for name, digest in own_sources(sorted(names)).items()}


def _files(group: Any) -> dict[str, str]:
    """The files that a group of a configuration names, with their hashes."""
    paths = {path: Path(path).expanduser() for path in _words(group) if "." in path}
    return {path: file_hash(file) for path, file in paths.items() if _is_file(file)}


def _schemes(spec: InitSpec) -> Iterator[str]:
    """The schemes of a rule, and of those that it holds for some layers and for what it starts from."""
    yield spec.scheme
    base = find_scheme(spec.scheme).base
    if spec.base is None and base is not None:
        yield base
    for part in (spec.output, spec.base, spec.embedding, *(rule.spec for rule in spec.rules)):
        if part is not None:
            yield from _schemes(part)


def _targets(value: Any) -> Iterator[str]:
    """All `_target_`s of a configuration, at any depth."""
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        for part in value.values():
            yield from _targets(part)
    elif isinstance(value, list):
        for part in value:
            yield from _targets(part)


def _words(value: Any) -> Iterator[str]:
    """All words of a configuration, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _words(part)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name of a file at all
        return False
