"""Tables on disk: Parquet, whole or absent, each with its schema version.

A job is named by its folder, also where a bundle has its tables, as `tables.bundles` says.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from initlab.base.errors import UserError
from initlab.base.files import TOGETHER, write_text_whole, write_whole
from initlab.tables.bundles import (
    DESCRIPTION,
    RESULTS,
    Bundle,
    bundle_of,
    bundled_jobs,
    forget_bundles,
    has_own_results,
    write_bundled_description,
)
from initlab.tables.schema import SCHEMA_VERSION, TABLES
from initlab.tables.upgrade import upgrade

# Plain values as they are: OmegaConf, which would also resolve them, takes many times as long.
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

VERSION_KEY = b"initlab_schema_version"
Read = TypeVar("Read")


class NewerVersionError(UserError):
    """A table was written by a later version of initlab."""


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table of a job as `name`.parquet.

    Args:
        folder: The folder of the job; it is made if it is absent.
        name: A name of `schema.TABLES`, such as `members` or `signal`.
        table: Its rows, with the columns of `schema.TABLES[name]`; others are left out.
    """
    arrow = _as_arrow(name, table)
    compression = "zstd" if name == "rows" else "snappy"  # of many zeros and ones a fourth is left
    write_whole(folder / f"{name}.parquet", lambda path: pq.write_table(arrow, path, compression=compression))


def as_read(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table as it would be read if it was written: so tables that were read and others can stand in one."""
    return _as_frame(_as_arrow(name, table))


def _as_arrow(name: str, table: pd.DataFrame) -> pa.Table:
    schema = TABLES[name].with_metadata({VERSION_KEY: str(SCHEMA_VERSION).encode()})
    columns = [pa.Array.from_pandas(table[field.name], type=field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _as_frame(arrow: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = arrow.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get, use_threads=False)
    return frame


def current(folder: Path, name: str) -> Path:
    """Where a file of a job's folder is: among those that are about to replace former ones together, or in its place.

    Args:
        folder: The folder of the job.
        name: Of the file, such as `members.parquet`.
    """
    pending = folder / TOGETHER / name
    return pending if pending.exists() else folder / name


def _read(folder: Path, name: str, read: Callable[[Path], Read]) -> Read:
    """Read a file of a job's folder, though it be moved to its place meanwhile."""
    try:
        return read(current(folder, name))
    except FileNotFoundError:
        return read(folder / name)


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Read one table of a job, whatever version of initlab has written it.

    Args:
        folder: The folder of the job: `outputs/study/init=he`.
        name: A name of `schema.TABLES`, such as `members` or `signal`.

    Returns:
        The columns of `schema.TABLES[name]`, as `schema.describe_columns(name)` explains them.

    Raises:
        NewerVersionError: a later version has written the file.
        UserError: the file is absent or damaged, or no table of initlab's.
    """
    bundle = bundle_of(folder)
    if bundle is not None:
        return _part(bundle, name, folder.name)
    path = folder / f"{name}.parquet"
    try:
        # Small: threads would only cost.
        arrow = _read(folder, path.name, lambda there: pq.ParquetFile(there).read(use_threads=False))
        version = int((arrow.schema.metadata or {})[VERSION_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        reason = " ".join(str(error).split()) if not isinstance(error, KeyError) else "no table of initlab's"
        raise UserError(f"{path}: unreadable ({reason}); remove {folder}") from error
    if version > SCHEMA_VERSION:
        raise NewerVersionError(
            f"{path}: written with schema version {version}, and this initlab knows {SCHEMA_VERSION}; upgrade initlab"
        )
    if version < SCHEMA_VERSION:
        arrow = upgrade(name, arrow, version)
    return _as_frame(arrow)


@lru_cache(maxsize=8)
def _whole(bundle: Bundle, name: str) -> tuple[pd.DataFrame, dict[Any, Any]]:
    """A table of a bundle, and by job the places of its rows."""
    table = read_table(bundle.folder, name)
    return table, table.groupby("job", sort=False).indices


def _part(bundle: Bundle, name: str, job: str) -> pd.DataFrame:
    """What a table of a bundle has of a job."""
    table, places = _whole(bundle, name)
    part: pd.DataFrame = table.iloc[places.get(job, np.array([], np.int64))].reset_index(drop=True)
    return part


def has_table(folder: Path, name: str) -> bool:
    """Whether a job has a table.

    Args:
        folder: The folder of the job.
        name: A name of `schema.TABLES`, such as `members` or `signal`.
    """
    bundle = bundle_of(folder)
    if bundle is None:
        return current(folder, f"{name}.parquet").exists()
    return (bundle.folder / f"{name}.parquet").exists()


def has_results(folder: Path) -> bool:
    """Whether a job, named by its folder, has results: there, or in a bundle."""
    return has_own_results(folder) or folder.name in bundled_jobs(folder.parent)


def trained_seeds(folder: Path) -> frozenset[int]:
    """The seeds of which a job has results.

    Args:
        folder: The folder of the job.

    Raises:
        UserError: as `read_table` does.
    """
    bundle = bundle_of(folder)
    if bundle is None:
        return frozenset(map(int, read_table(folder, "members")["seed"]))
    table, places = _whole(bundle, "members")
    return frozenset(table["seed"].to_numpy(np.int64)[places[folder.name]].tolist())


def config_text(config: Mapping[str, Any]) -> str:
    """A resolved configuration as YAML."""
    text: str = yaml.dump(dict(config), Dumper=Dumper, sort_keys=False)
    return text


def write_description(folder: Path, config: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write a job's resolved configuration (config.yaml) and how it ran (metadata.json).

    Args:
        folder: The folder of the job; it is made if it is absent.
        config: The resolved configuration, as plain data.
        metadata: Machine, versions, command, fingerprint and checksum of the data, as plain data.
    """
    write_text_whole(folder / "config.yaml", config_text(config))
    write_metadata(folder, metadata)


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write how a job ran (metadata.json); `read_metadata` reads it.

    Args:
        folder: The folder of the job; it is made if it is absent.
        metadata: As in `write_description`.
    """
    write_text_whole(folder / "metadata.json", json.dumps(dict(metadata), indent=2) + "\n")


def rewrite_metadata(changed: Mapping[Path, Mapping[str, Any]]) -> None:
    """Write how some finished jobs ran in place of what is there, a bundle once for all of its jobs.

    Args:
        changed: By the folder of a job, all that is known of it, as in `write_description`.
    """
    of_bundles: dict[Bundle, dict[str, Mapping[str, Any]]] = {}
    for folder, metadata in changed.items():
        bundle = bundle_of(folder)
        if bundle is None:
            write_metadata(folder, metadata)
        else:
            of_bundles.setdefault(bundle, {})[folder.name] = metadata
    for bundle, own in of_bundles.items():
        metadata = {name: own.get(name) or bundle.metadata(name) for name in bundle.own}
        write_bundled_description(bundle.folder, {name: bundle.config(name) for name in bundle.own}, metadata)
    if of_bundles:
        forget_bundles()


def read_metadata(folder: Path) -> dict[str, Any]:
    """How a job ran, as its metadata.json has it; empty if that is absent or damaged.

    Of a job in a bundle that has failed since, as more seeds were to be trained, its own folder says so.
    """
    bundle = bundle_of(folder)
    if bundle is not None and not ((folder / "error.txt").exists() and (folder / "metadata.json").exists()):
        return bundle.metadata(folder.name)
    try:
        metadata = json.loads(_read(folder, "metadata.json", lambda path: path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def description_of(folder: Path) -> Path:
    """The file that says how a job ran, given its folder: metadata.json, or what describes its bundle."""
    bundle = bundle_of(folder)
    return folder / "metadata.json" if bundle is None else bundle.folder / DESCRIPTION


def changed_sources(former: object, now: Mapping[str, str]) -> list[str]:
    """Names of the files that a job was made of, and that are other ones now, or none; empty where that is not known.

    Args:
        former: What metadata.json has as `sources`: the hash of each file by its name; None in older folders.
        now: The same as it is now.
    """
    if not isinstance(former, Mapping):
        return []
    return sorted(name for name in {*former, *now} if former.get(name) != now.get(name))


def read_config(folder: Path) -> dict[str, Any]:
    """A finished job's resolved configuration.

    Raises:
        UserError: the file is absent or damaged.
    """
    bundle = bundle_of(folder)
    if bundle is not None:
        return bundle.config(folder.name)
    path = folder / "config.yaml"
    try:
        config = yaml.load(_read(folder, path.name, lambda there: there.read_text(encoding="utf-8")), Loader=Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: unreadable ({error}); remove {folder}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: no configuration; remove {folder}")
    return {str(key): value for key, value in config.items()}


def read_failure(folder: Path) -> str:
    """Why a job failed, in a line: the last of the traceback in its error.txt."""
    try:
        lines = (folder / "error.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    traceback = lines[: lines.index("")] if "" in lines else lines
    reason = next((line for line in reversed(traceback) if line[:1].strip()), "unknown")
    return re.sub(r"^initlab\.base\.errors\.\w+: ", "", reason)


def finished_jobs(study_folder: Path) -> list[Path]:
    """Folders of a study's finished jobs, in the order of their names; those in bundles need not exist.

    They have a members table. Where there is an error.txt, too, more seeds were to be trained, and that failed.
    """
    own = {path.parent for path in study_folder.glob(f"*/{RESULTS}")}
    return sorted(own | {study_folder / name for name in bundled_jobs(study_folder)})
