"""python scripts/notebook.py: run docs/notebooks/first_steps.py and keep it, with what it shows, as a notebook.

Needed after a change of that file or of what it prints; takes half a minute.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import jupytext
from nbclient import NotebookClient

SOURCE = Path(__file__).resolve().parent.parent / "docs" / "notebooks" / "first_steps.py"


def run_notebook(folder: Path) -> dict[str, Any]:
    """Run the notebook in a folder, where its results go, and return it as a file keeps it.

    Raises:
        CellExecutionError: a cell fails.
    """
    notebook = jupytext.read(SOURCE)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, coalesce_streams=True, resources=resources).execute()
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place}"
        cell.metadata.pop("execution", None)
    metadata = {key: notebook.metadata[key] for key in ("jupytext", "kernelspec")}
    return {"cells": notebook.cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        done = run_notebook(Path(scratch))
    SOURCE.with_suffix(".ipynb").write_text(json.dumps(done, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
