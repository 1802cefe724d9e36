"""The zoo's outcomes as a page."""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from scripts.zoo.trial import PROBE, RUNS

OUTCOMES: Final = (
    "ok", "refused", "traceback", "changed", "wrong weights", "left in silence", "false note", "crashed", "too long",
)  # fmt: skip
LIBRARIES: Final = ("torch", "torchvision", "timm", "transformers", "initlab")
HEAD: Final = """# The zoo

{architectures} architectures of torchvision, timm and transformers, and small ones of our own that trip a careless
reader of networks, are built from their configurations, without trained weights and with few narrow layers. Each is
initialized by every scheme below, and probed; {runs:,} runs. Whether a run is right is computed without initlab's own
reading of the layers: the fans, the standard deviation or the orthogonality of every weight that a report says it
filled; norms, biases, buffers, modes, frozen parameters and random states; what the report and its notes claim; and
that a refusal leaves everything bit for bit as it was.

As of {date}, with {versions} and Python {python}:

    pip install -e ".[zoo]"
    python -m scripts.zoo --out outputs/zoo.jsonl --table docs/zoo.md{schemes}
"""
MEANING: Final = """
*refused*: one line that says why, and nothing changed. *traceback*: any other exception. *changed*: something else than
the weights is not as it was, or anything after a refusal. *wrong weights*: not of the scheme's law. *left in silence*:
over 5 % of the weights were left alone without a warning. *false note*: the report, or the probe's table, says what is
not so. A run counts once, under the worst of what is wrong with it. *filled*: of the runs that were not refused, those
with at least 99 % of the weights filled; tables of places and tokens and what is frozen are no such weights.
"""


def page(records: Sequence[dict[str, Any]]) -> str:
    """The page, as Markdown.

    Args:
        records: One a run, as `trial.Outcome.record` makes them.
    """
    names = {record["architecture"] for record in records}
    tried = [run for run in RUNS if any(record["run"] == run for record in records)]
    head = HEAD.format(
        architectures=len(names),
        runs=len(records),
        date=datetime.now(UTC).date(),
        versions=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        python=platform.python_version(),
        schemes="" if set(tried) == set(RUNS) else f' --schemes "{",".join(tried)}"',
    )
    parts = [head, "## By family\n", _table("family", records, lambda record: str(record["family"])), MEANING]
    parts += ["## By scheme\n", _table("run", records, lambda record: str(record["run"]), order=RUNS)]
    if refusals := [record for record in records if record["outcome"] == "refused"]:
        parts += ["\n## Why runs were refused\n", _reasons(refusals)]
    if wrong := [record for record in records if record["outcome"] not in ("ok", "refused")]:
        parts += ["\n## What is wrong\n", _faults(wrong)]
    return "\n".join(parts)


def _table(
    what: str,
    records: Sequence[dict[str, Any]],
    group: Callable[[dict[str, Any]], str],
    order: Iterable[str] = (),
) -> str:
    """Groups by outcomes, as a table of counts."""
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in order}
    for record in records:
        groups.setdefault(group(record), []).append(record)
    lines = [[what, "architectures", "runs", *OUTCOMES, "filled"]]
    for name, members in [*groups.items(), ("all", list(records))]:
        if members:
            count = Counter(record["outcome"] for record in members)
            lines.append([name, str(len({record["architecture"] for record in members})), str(len(members)),
                          *(str(count[outcome] or "") for outcome in OUTCOMES), _filled(members)])  # fmt: skip
    lines.insert(1, ["---", *["---:"] * (len(lines[0]) - 1)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _filled(records: Iterable[dict[str, Any]]) -> str:
    """Share of the runs that filled at least 99 % of the weights, of those that filled any."""
    shares = [record["filled"] for record in records if record["filled"] is not None and record["run"] != PROBE]
    return f"{sum(share >= 0.99 for share in shares) / len(shares):.1%}" if shares else ""


def _reasons(records: Iterable[dict[str, Any]]) -> str:
    """How often each run was refused, with the first reason that was given."""
    lines = ["| run | refused | for example |", "| --- | ---: | --- |"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(record["run"], []).append(record)
    for run, members in groups.items():
        first = members[0]
        said = first["words"].replace("|", "\\|")
        lines.append(f"| {run} | {len(members)} | {first['architecture']}: {said} |")
    return "\n".join(lines) + "\n"


def _faults(records: Iterable[dict[str, Any]]) -> str:
    """Every run with a fault, by its architecture."""
    lines = ["| architecture | runs | fault |", "| --- | --- | --- |"]
    groups: dict[tuple[str, str], list[str]] = {}
    for record in records:
        fault = (record["faults"] or [record["words"]])[0].replace("|", "\\|")
        groups.setdefault((record["architecture"], fault), []).append(record["run"])
    for (architecture, fault), runs in groups.items():
        lines.append(f"| {architecture} | {', '.join(runs)} | {fault} |")
    return "\n".join(lines) + "\n"
