"""What Griffe, which reads the docstrings for the site, does not do by itself."""

import re
from typing import Any

from griffe import Extension, Object

HEADING = re.compile(r"^( *)Example:$", re.MULTILINE)


class Docstrings(Extension):
    """Reads `Example:` as the section that Griffe calls `Examples:`."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Change the heading before the docstring is parsed: else the lines after `>>>` would be quotations."""
        if obj.docstring is not None:
            obj.docstring.value = HEADING.sub(r"\1Examples:", obj.docstring.value)
