"""How the package is laid out: which room may import from which, and that no module takes a public name's place."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import initlab
from tests.fixtures import ROOT

# Low to high; the rooms of one line know nothing of each other.
ROOMS = (
    ("base",),
    ("config", "tables", "activations", "modules"),
    ("theory", "models"),
    ("data", "initializers", "results"),
    ("jobs", "propagation", "figures"),
    ("cohort", "reporting", "hydra_plugins"),
    ("lessons", "tracking"),
    ("sweep",),
    ("cli",),
    ("train", "probe", "recommend", "report", "schemes", "textbook"),
)
HEIGHT = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
DOORS = ROOMS[-1]
MODULES = sorted([*(ROOT / "initlab").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py")])

# What every public name is, before and after all modules are imported, in a process that has imported nothing.
PUBLIC_NAMES = """
import importlib, json, sys, types, warnings

def public():
    return {f"{package.__name__}.{name}": getattr(package, name)
            for package in packages for name in getattr(package, "__all__", ())}

warnings.simplefilter("ignore")
modules, folders = json.loads(sys.argv[1]), json.loads(sys.argv[2])
packages = [importlib.import_module(name) for name in folders]
before = public()
for name in modules:
    importlib.import_module(name)
after = public()
print(json.dumps({
    "changed": [name for name in before if after[name] is not before[name]],
    "modules": [name for name, value in after.items() if isinstance(value, types.ModuleType)],
    "functions": [name for name, value in after.items() if isinstance(value, types.FunctionType)],
    "doors": [name for name in modules if callable(getattr(importlib.import_module(name), "main", None))],
}))
"""


def room_of(name: str) -> str | None:
    """The room of a module by its full name; None for initlab itself and for what is not ours."""
    first, *rest = name.split(".")
    if first == "hydra_plugins":
        return first
    return rest[0] if first == "initlab" and rest else None


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            assert node.module is not None
            yield node.module
            if node.module == "initlab":
                yield from (f"initlab.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_every_module_is_in_a_room() -> None:
    rooms = {room_of(name_of(path)) for path in MODULES}
    assert rooms - {None} == set(HEIGHT)


def wrong(path: Path) -> Iterator[str]:
    """What a module imports that it should know nothing of."""
    own = room_of(name_of(path))
    for name in imports(path):
        other = room_of(name)
        if name == "initlab" or (other is not None and other != own and HEIGHT[other] >= HEIGHT[own or "cli"]):
            yield f"{name_of(path)} imports {name}"


def test_imports_point_one_way() -> None:
    """From a room to lower ones, or to itself; `initlab` itself, which is made of several, is for users."""
    assert [line for path in MODULES for line in wrong(path)] == []


@pytest.mark.slow
def test_no_module_takes_the_place_of_a_public_name() -> None:
    """Importing `package.name` sets the attribute `name` of the package to the module."""
    ours = [path for path in MODULES if "hydra_plugins" not in path.parts]
    folders = [name_of(path) for path in ours if path.name == "__init__.py"]
    command = [sys.executable, "-c", PUBLIC_NAMES, json.dumps([*map(name_of, ours)]), json.dumps(folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["changed"] == []
    assert found["modules"] == []
    public = ("initialize", "list_initializers", "probe_model", "register_activation", "register_initializer")
    assert {f"initlab.{name}" for name in public} <= set(found["functions"])
    assert {f"initlab.{door}" for door in DOORS} <= set(found["doors"])


def test_every_folder_is_a_package() -> None:
    """Or `pkgutil` does not find what is in it, nor do tools that write documentation."""
    folders = {path.parent for path in MODULES if "hydra_plugins" not in path.parts}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()
    walked = {found.name for found in pkgutil.walk_packages(initlab.__path__, "initlab.")}
    assert walked == {name_of(path) for path in MODULES if "hydra_plugins" not in path.parts} - {"initlab"}


def test_every_installed_command_leads_to_a_door() -> None:
    """What pyproject.toml installs is found, and is what `python -m` runs."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts.values()) == {f"initlab.{door}:main" for door in DOORS}
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        assert name == module.replace(".", "-")
        assert callable(getattr(importlib.import_module(module), function))
