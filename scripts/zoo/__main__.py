"""python -m scripts.zoo: try every architecture with every scheme and with the probe; see `scripts/zoo/__init__.py`."""

import argparse
import contextlib
import fnmatch
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from initlab.base.files import write_text_whole
from scripts.zoo.catalogue import catalogue
from scripts.zoo.table import page
from scripts.zoo.trial import RUNS
from scripts.zoo.worker import Worker


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, in order; none where it is absent."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Try what is asked for and not yet in the file; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/zoo.jsonl"),
        help="records, a line each; what is there is not tried again",
    )
    parser.add_argument("--only", default="*", help="architectures, as a pattern such as 'timm/*vit*'")
    parser.add_argument("--schemes", default="", help=f"of {', '.join(RUNS)}, with commas between; all if left out")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--table", type=Path, help="write the table as Markdown, such as docs/zoo.md")
    options = parser.parse_args()
    wanted = [run.strip() for run in options.schemes.split(",") if run.strip()] or list(RUNS)
    if unknown := set(wanted) - set(RUNS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    os.environ["HF_HUB_OFFLINE"] = "1"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = {(record["architecture"], record["run"]) for record in read(options.out)}
    chosen = [each for name, each in catalogue().items() if fnmatch.fnmatch(name, options.only)]
    todo = [(each, [run for run in wanted if (each.name, run) not in done]) for each in chosen]
    todo = [(each, runs) for each, runs in todo if runs]

    def several(part: int) -> None:
        with contextlib.closing(Worker()) as worker:
            for each, runs in todo[part :: options.jobs]:
                for record in worker.runs(each.name, each.family, runs):
                    with options.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
                    sys.stdout.write(f"{each.name}: {record['run']}: {record['outcome']}\n")
                    sys.stdout.flush()

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(several, range(options.jobs)))
    if options.table is not None:
        write_text_whole(options.table, page(read(options.out)))


if __name__ == "__main__":
    main()
