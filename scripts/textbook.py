"""python scripts/textbook.py: write the textbook's pages anew from the tables that docs/textbook keeps.

For when words or pictures have changed and the numbers have not: `python -m initlab.textbook all --update-docs` makes
the tables, too.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from initlab.cli.run_textbook import DOCS
from initlab.lessons.site import kept_lessons, write_index, write_page

if __name__ == "__main__":
    for lesson in kept_lessons(DOCS):
        write_page(lesson, DOCS)
    write_index(DOCS)
