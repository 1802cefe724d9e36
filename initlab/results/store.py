"""Tables on disk: Parquet, whole or absent, each with its schema version."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from initlab.errors import UserError
from initlab.results.schema import SCHEMA_VERSION, TABLES

VERSION_KEY = b"initlab_schema_version"


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name and rename it, so that it is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # another process may write the same file
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_table(directory: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table of a job as `name`.parquet.

    Args:
        directory: The job's.
        name: A name of `schema.TABLES`, whose columns the table has.
        table: Rows.
    """
    schema = TABLES[name].with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})
    arrow = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False)
    write_whole(directory / f"{name}.parquet", lambda path: pq.write_table(arrow, path))


def read_table(directory: Path, name: str) -> pd.DataFrame:
    """Read one table of a job.

    Raises:
        UserError: the file is damaged, or of another schema version.
    """
    path = directory / f"{name}.parquet"
    try:
        arrow = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: unreadable ({' '.join(str(error).split())}); remove {directory}") from error
    version = (arrow.schema.metadata or {}).get(VERSION_KEY, b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise UserError(f"{path}: written with schema version {version}, expected {SCHEMA_VERSION}; train it anew")
    frame: pd.DataFrame = arrow.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def write_description(directory: Path, config: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write a job's resolved configuration (config.yaml) and how it ran (metadata.json)."""
    text = OmegaConf.to_yaml(OmegaConf.create(dict(config)))
    write_whole(directory / "config.yaml", lambda path: path.write_text(text))
    write_whole(directory / "metadata.json", lambda path: path.write_text(json.dumps(dict(metadata), indent=2) + "\n"))


def read_config(directory: Path) -> dict[str, Any]:
    """A finished job's resolved configuration.

    Raises:
        UserError: the file is absent or damaged.
    """
    path = directory / "config.yaml"
    try:
        config = OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path}: unreadable ({error}); remove {directory}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: no configuration; remove {directory}")
    return {str(key): value for key, value in config.items()}


def finished_jobs(study: Path) -> list[Path]:
    """Directories of a study's finished jobs, in the order of their names.

    They have a members table, and no error.txt of a later run that failed.
    """
    folders = (path.parent for path in study.glob("*/members.parquet"))
    return sorted(folder for folder in folders if not (folder / "error.txt").exists())
