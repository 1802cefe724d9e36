"""The notebook of the first steps: it runs, and what is kept of it is what its script says."""

import json
from pathlib import Path
from typing import Any

import jupytext
import pytest

from scripts.notebook import SOURCE, run_notebook


def kept_notebook() -> Any:
    """The notebook in docs/, with what it said when it was run."""
    return json.loads(SOURCE.with_suffix(".ipynb").read_text(encoding="utf-8"))


def test_what_is_kept_is_what_its_script_says() -> None:
    sources = [(cell["cell_type"], cell["source"]) for cell in jupytext.read(SOURCE).cells]
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in kept_notebook()["cells"]] == sources


@pytest.mark.slow
def test_the_notebook_runs_to_a_verdict(tmp_path: Path) -> None:
    done, kept = run_notebook(tmp_path), kept_notebook()
    ran, shown = (
        [[output["output_type"] for output in cell.get("outputs", [])] for cell in notebook["cells"]]
        for notebook in (done, kept)
    )
    assert ran == shown
    assert len([cell for cell in kept["cells"] if cell["cell_type"] == "code"]) == 10
    outputs = [output for cell in done["cells"] for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    said = json.dumps(outputs, ensure_ascii=False)
    assert "better" in said
    assert "he: trainable" in said
    assert "\\u001b[" not in said  # nothing that only a terminal reads
    assert str(tmp_path) not in said
