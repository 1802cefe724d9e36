"""What is needed to repeat a study."""

import pandas as pd

from initlab.reporting.document import Code, Paragraph, Part, Section, Table
from initlab.results.study import Study
from initlab.tables.store import config_text


def how_to_repeat(study: Study) -> Section:
    """The section with commands, versions, devices, commits, data checksums, and what all jobs have configured."""
    metadata = list(study.metadata.values())
    commands = list(dict.fromkeys(str(entry["command"]) for entry in metadata if entry.get("command")))
    parts: list[Part] = []
    if commands:
        parts += [Paragraph("What was typed:"), Code("\n".join(commands))]
    facts: dict[str, str] = {}
    for key in ("device", "cores", "platform", "python", "commit"):
        facts[key] = _distinct(entry.get(key) for entry in metadata)
    packages = sorted({name for entry in metadata for name in entry.get("versions", {})})
    facts |= {name: _distinct(entry.get("versions", {}).get(name) for entry in metadata) for name in packages}
    data = study.members.groupby("job", sort=False)["data"].first()
    for name in data.unique():
        jobs = data.index[data == name]
        facts[f"checksum of {name}"] = _distinct(study.metadata.get(str(job), {}).get("data_checksum") for job in jobs)
    table = pd.DataFrame({"what": list(facts), "value": list(facts.values())})
    table = table[table["value"] != ""]
    parts.append(Table("environment", "On what it ran.", table, table))
    if study.common:
        parts.append(Code(config_text(study.common).rstrip(), "The configuration that all jobs have in common."))
    return Section("How to repeat it", parts)


def _distinct(values: object) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))  # type: ignore[attr-defined]
