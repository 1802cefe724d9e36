"""Tables on disk: Parquet, whole or absent, each with its schema version."""

import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from initlab.errors import UserError
from initlab.results.schema import SCHEMA_VERSION, TABLES

# Plain values as they are: OmegaConf, which would also resolve them, takes many times as long.
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

VERSION_KEY = b"initlab_schema_version"


class OtherVersionError(UserError):
    """A table that another version of initlab has written."""


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may write the same file, and not only on this machine.
    partial = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(directory: Path) -> None:
    """Remove what a killed process was writing, below a directory that no other process writes to."""
    for path in directory.rglob(".*.partial"):
        path.unlink(missing_ok=True)


def write_table(directory: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table of a job as `name`.parquet.

    Args:
        directory: The job's.
        name: A name of `schema.TABLES`, whose columns the table has.
        table: Rows.
    """
    schema = TABLES[name].with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})
    columns = [pa.Array.from_pandas(table[field.name], type=field.type) for field in schema]
    arrow = pa.Table.from_arrays(columns, schema=schema)
    write_whole(directory / f"{name}.parquet", lambda path: pq.write_table(arrow, path))


def read_table(directory: Path, name: str) -> pd.DataFrame:
    """Read one table of a job.

    Raises:
        OtherVersionError: the file is of another schema version.
        UserError: the file is damaged.
    """
    path = directory / f"{name}.parquet"
    try:
        arrow = pq.ParquetFile(path).read(use_threads=False)  # small: threads would only cost
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: unreadable ({' '.join(str(error).split())}); remove {directory}") from error
    version = (arrow.schema.metadata or {}).get(VERSION_KEY, b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise OtherVersionError(
            f"{path}: written with schema version {version}, expected {SCHEMA_VERSION}; train it anew"
        )
    frame: pd.DataFrame = arrow.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, use_threads=False)
    return frame


def config_text(config: Mapping[str, Any]) -> str:
    """A resolved configuration as YAML."""
    text: str = yaml.dump(dict(config), Dumper=Dumper, sort_keys=False)
    return text


def write_description(directory: Path, config: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write a job's resolved configuration (config.yaml) and how it ran (metadata.json)."""
    write_whole(directory / "config.yaml", lambda path: path.write_text(config_text(config)))
    write_whole(directory / "metadata.json", lambda path: path.write_text(json.dumps(dict(metadata), indent=2) + "\n"))


def read_metadata(directory: Path) -> dict[str, Any]:
    """How a job ran; empty if that is absent or damaged."""
    try:
        metadata = json.loads((directory / "metadata.json").read_text())
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def read_config(directory: Path) -> dict[str, Any]:
    """A finished job's resolved configuration.

    Raises:
        UserError: the file is absent or damaged.
    """
    path = directory / "config.yaml"
    try:
        config = yaml.load(path.read_text(), Loader=Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: unreadable ({error}); remove {directory}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: no configuration; remove {directory}")
    return {str(key): value for key, value in config.items()}


def read_failure(directory: Path) -> str:
    """Why a job failed, in a line: the last of the traceback in its error.txt."""
    try:
        lines = (directory / "error.txt").read_text().splitlines()
    except OSError:
        return "unknown"
    traceback = lines[: lines.index("")] if "" in lines else lines
    return next((line for line in reversed(traceback) if line[:1].strip()), "unknown")


def finished_jobs(study: Path) -> list[Path]:
    """Directories of a study's finished jobs, in the order of their names.

    They have a members table, and no error.txt of a later run that failed.
    """
    folders = (path.parent for path in study.glob("*/members.parquet"))
    return sorted(folder for folder in folders if not (folder / "error.txt").exists())
