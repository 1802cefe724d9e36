"""What Griffe, which reads the docstrings for the site, does not do by itself."""

import re
from pathlib import Path
from typing import Any

from griffe import Extension, GriffeLoader, Module, Object, visit

HEADING = re.compile(r"^( *)Example:$", re.MULTILINE)


class Docstrings(Extension):
    """Reads `Example:` as the section that Griffe calls `Examples:`, and takes in folders without `__init__.py`."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Change the heading before the docstring is parsed: else the lines after `>>>` would be quotations."""
        if obj.docstring is not None:
            obj.docstring.value = HEADING.sub(r"\1Examples:", obj.docstring.value)

    def on_package(self, *, pkg: Module, loader: GriffeLoader, **_: Any) -> None:
        """Load the modules of folders that Python takes for packages though they have no `__init__.py`."""
        if not isinstance(pkg.filepath, Path):
            return
        shared: dict[str, Any] = {
            "lines_collection": loader.lines_collection,
            "modules_collection": loader.modules_collection,
        }
        for folder in sorted(pkg.filepath.parent.iterdir()):
            paths = sorted(folder.glob("*.py")) if folder.is_dir() else []
            if not paths or folder.name in pkg.members:
                continue
            room = Module(folder.name, filepath=[folder], **shared)
            pkg.set_member(folder.name, room)
            for path in paths:
                code = path.read_text(encoding="utf-8")
                module = visit(path.stem, path, code, extensions=loader.extensions, parent=room, **shared)
                room.set_member(path.stem, module)
