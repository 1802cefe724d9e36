"""Write what docs/playground.html takes from theory and from the schemes into the page.

    python scripts/playground.py

Takes ten seconds; needed after a change of `initlab.theory`, of an activation or of a scheme's scale.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from initlab.lessons.playground import fill_page

    fill_page(ROOT / "docs" / "playground.html")
