"""What the site takes from the code: the schemes, the gains, the tables and the configuration.

A page of `docs/reference/` says where by a line such as `<!-- from the code: schemes -->`; `GENERATED` has what may
stand there. Nothing of that is written down twice, so that the pages are true of the code they are built from.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
CONF: Final = ROOT / "conf"
TEXTBOOK: Final = "textbook"
NOTEBOOK: Final = ROOT / "docs" / "notebooks" / "first_steps.ipynb"
sys.path.insert(0, str(ROOT))

from initlab.cli.catalogue import describe, gains  # noqa: E402
from initlab.initializers import Scheme, list_initializers  # noqa: E402
from initlab.initializers.facts import EXAMPLE_WORDS  # noqa: E402
from initlab.initializers.recipes import example_of  # noqa: E402
from initlab.lessons.site import kept_lessons  # noqa: E402
from initlab.tables.schema import TABLE_ROWS, TABLES, describe_columns  # noqa: E402

PLACE: Final = re.compile(r"^<!-- from the code: ([\w ]+) -->$", re.MULTILINE)
SECTIONS: Final = re.compile(r"^(Args|Returns|Raises|Example|Examples|Source|Yields):$", re.MULTILINE)

# What a command must name beside the scheme, where the default network has not what the scheme needs.
BESIDE: Mapping[str, str] = MappingProxyType(
    {
        "mup": "optim.scaling=mup optim.base_width=32",
        "pretrained": "init.path=weights.pt",
        "siren": "activation=sine",
        "nguyen_widrow": "activation=tanh",
        "dropout_adjusted": "model.dropout=0.5",
        "icnr": "model._target_=my_networks.Upsampling",
        "weight_selection": "init.path=larger.pt",
        "deepnorm": "data=digits model=vit model.norm=post model.residual=deepnorm",
        "admin": "data=digits model=vit model.norm=post model.residual=admin",
        "mimetic": "data=digits model=vit",
        "subln": "data=digits model=vit model.norm=sub",
        "t_fixup": "data=digits model=vit model.norm=none",
    }
)
BRANCHES: Final = "model=residual_mlp"
RECURRENT: Final = "data=adding model=lstm"
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "data": "A data set, with the recipe that it brings: network, optimizer, batch size, epochs.",
        "model": "The network.",
        "init": "The initialization scheme.",
        "activation": "The nonlinearity.",
        "optim": "The optimizer.",
        "loss": "What training makes small.",
        "scheduler": "How the learning rate changes while a network trains.",
        "trainer": "What is handed to Lightning's trainer.",
        "logger": "The tracker.",
        "experiment": "A published protocol: everything but what you compare.",
    }
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Let the navigation have a page for each lesson of the textbook, in the order of the book."""
    pages = [f"{TEXTBOOK}/{lesson.name}.md" for lesson in kept_lessons(ROOT / "docs" / TEXTBOOK)]
    for entry in config.nav or []:
        if "Textbook" in entry:
            entry["Textbook"] += pages
    return config


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ARG001  # MkDocs names it
    """Fill in what a page takes from the code."""
    return PLACE.sub(lambda found: "\n".join(GENERATED[found[1]]()), markdown)


def schemes() -> Iterator[str]:
    """A section for each scheme, in the order of their names."""
    for name in sorted(list_initializers()):
        yield from _scheme(list_initializers()[name])


def _scheme(scheme: Scheme) -> Iterator[str]:
    yield f"## {scheme.name}\n"
    summary, _, rest = _prose(scheme.function).partition("\n")
    yield f"{literal(summary)}\n"
    if rest.strip():
        yield f"{literal(rest.strip())}\n"
    if scheme.aliases:
        yield f"- **Also called**: {', '.join(f'`{alias}`' for alias in scheme.aliases)}"
    yield f"- **Source**: {_linked(literal(scheme.source))}"
    whole = f"the whole network{', once `base` has filled it' if scheme.base else ''}"
    works = {"model": whole, "rules": "each weight by the part that it plays", "weight": "one weight at a time"}
    yield f"- **Works on**: {works[scheme.level]}"
    if scheme.needs:
        yield f"- **Needs**: {', '.join(scheme.needs)}"
    if scheme.bias:
        yield f"- **Biases**: `{scheme.bias}`"
    if scheme.level == "rules":
        yield f"\nOf these rules the first that hits counts; the numbers are those for {EXAMPLE_WORDS}:\n"
        yield "| what it hits | what is done |\n|---|---|"
        yield from (f"| {cell(hit)} | {cell(done)} |" for hit, done in example_of(scheme).items())
    beside = BESIDE.get(scheme.name, BRANCHES if "branches" in scheme.needs else "")
    if {"recurrent", "gates"} & set(scheme.needs):
        beside = RECURRENT
    yield f"\n```sh\npython -m initlab.train init={scheme.name} {beside}".rstrip() + "\n```\n"
    parameters = describe(scheme)["parameters"]
    if parameters:
        remarks = _remarks(CONF / "init" / f"{scheme.name}.yaml")
        described = _arguments(scheme.function)
        yield "| parameter | default | what it is |\n|---|---|---|"
        for key, value in parameters.items():
            default = "null" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
            text = remarks.get(key) or described.get(key, "")
            yield f"| `init.{key}` | `{default or chr(39) * 2}` | {cell(text)} |"
        yield ""


def activations() -> Iterator[str]:
    """The gains of every activation."""
    yield "| activation | `gain=kaiming` | `gain=moment` | `gain=derivative` |\n|---|---:|---:|---:|"
    for row in gains():
        numbers = (row.kaiming, row.moment, row.derivative)
        shown = " | ".join("—" if number is None else f"{number:.4f}" for number in numbers)
        yield f"| `{row.activation}` | {shown} |"


def tables() -> Iterator[str]:
    """A section for each table of results, with its columns."""
    for name, schema in TABLES.items():
        rows = literal(TABLE_ROWS[name])
        yield f"### {name}.parquet\n\n{rows[0].upper()}{rows[1:]}.\n"
        yield "| column | type | what it is |\n|---|---|---|"
        for column, text in describe_columns(name).items():
            yield f"| `{column}` | {schema.field(column).type} | {cell(text)} |"
        yield ""


def configuration() -> Iterator[str]:
    """A section for each group of the configuration, with every choice as its file has it."""
    for group, what in GROUPS.items():
        yield f"### {group}\n\n{what}\n"
        others = []
        for path in sorted((CONF / group).glob("*.yaml")):
            text = path.read_text(encoding="utf-8")
            short = re.fullmatch(r"(?:#.*\n)*defaults:\n  - (\w+)\n", text)
            if short:
                others.append(f"`{path.stem}` for `{short[1]}`")
                continue
            head, body = _head(text)
            told = [line for line in head if not line.startswith("python -m")]
            commands = [line for line in head if line not in told]
            title = f"`{path.stem}`: {' '.join(told)}" if told else f"`{path.stem}`"
            yield f'??? conf "{title.replace(chr(34), chr(39))}"\n'
            yield _indented("\n".join(["```text", *commands, "```", ""])) if commands else ""
            yield _indented(f"```yaml\n{body.strip()}\n```\n")
        if others:
            yield f"Short names: {', '.join(others)}.\n"


def _file(name: str) -> Callable[[], Iterator[str]]:
    """A configuration file as it is."""
    return lambda: iter([f"```yaml\n{(CONF / name).read_text('utf-8').strip()}\n```"])


def _head(text: str) -> tuple[list[str], str]:
    """The comment lines that a configuration file begins with, without Hydra's own, and the rest."""
    lines = text.splitlines()
    count = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comments = [line.removeprefix("#").strip() for line in lines[:count]]
    return [line for line in comments if not line.startswith("@package")], "\n".join(lines[count:])


def _remarks(path: Path) -> dict[str, str]:
    """The comments behind the keys of a configuration file."""
    if not path.exists():
        return {}
    found = re.findall(r"^(\w+):[^#\n]*#\s*(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {key: text.strip() for key, text in found}


def _prose(function: Callable[..., Any]) -> str:
    """A docstring up to its first section."""
    return SECTIONS.split(inspect.getdoc(function) or "", maxsplit=1)[0].strip()


def _arguments(function: Callable[..., Any]) -> dict[str, str]:
    """What a docstring says of each argument."""
    parts = SECTIONS.split(inspect.getdoc(function) or "")
    text = dict(zip(parts[1::2], parts[2::2], strict=True)).get("Args", "")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(described.split()) for name, described in entries}


def literal(text: str) -> str:
    """Text that Markdown shows as it is, but for what stands between backticks and for its paragraphs."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*<\[\]#~])", r"\\\1", part) for part in parts)


def cell(text: str) -> str:
    """The same for a cell of a table."""
    return literal(text).replace("|", r"\|")


def _linked(text: str) -> str:
    """Text in which each number of arXiv leads there."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines()) + "\n"


def glossary() -> Iterator[str]:
    """The glossary that CONTRIBUTING.md opens with."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    yield "\n".join(line for line in text.split("## Glossary\n")[1].split("\n## ")[0].splitlines() if line[:1] in "- ")


def notebook() -> Iterator[str]:
    """The notebook of the first steps, with what its cells show."""
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"{source}\n"
            continue
        yield f"```python\n{source}\n```\n"
        yield from (_shown(output) for output in cell["outputs"])


def _shown(output: Mapping[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f"![{''.join(data['text/plain'])}](data:image/png;base64,{data['image/png'].strip()})\n"
    if "text/html" in data:
        return f'<div class="cell" markdown="0">{"".join(data["text/html"])}</div>\n'
    return f"```text\n{''.join(data.get('text/plain', output.get('text', ''))).strip(chr(10))}\n```\n"


GENERATED: Mapping[str, Callable[[], Iterator[str]]] = MappingProxyType(
    {
        "schemes": schemes,
        "activations": activations,
        "tables": tables,
        "configuration": configuration,
        "glossary": glossary,
        "first steps": notebook,
        **{f"{name} conf": _file(f"{name}.yaml") for name in ("train", "probe", "recommend")},
    }
)
