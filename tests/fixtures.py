"""What the tests share: data files of the real format, and the real ones where they are."""

import gc
import gzip
import os
import struct
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

with warnings.catch_warnings():  # what third parties warn about while they are imported is not ours to mend
    warnings.simplefilter("ignore")
    import lightning.pytorch
    import lightning.pytorch.trainer.connectors.callback_connector
    import torch.utils.tensorboard

from initlab.activations import registry as activations
from initlab.base import forking
from initlab.base.console import quiet_libraries
from initlab.base.files import write_text_whole
from initlab.cli.command import COMMAND, STARTED
from initlab.config.names import SWEPT
from initlab.data.tabular import WINE_QUALITY_COLUMNS, WINE_QUALITY_FILE, WINE_QUALITY_ROWS
from initlab.initializers import registry
from initlab.reporting import write
from initlab.reporting.document import Picture
from tests.commands import Commands, open_commands
from tests.composing import compose_quicker

ROOT = Path(__file__).parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"
NO_DATA = str(ROOT / "no-data")  # no folder is made for each test that needs none, which takes as long as many of them

quiet_libraries()
compose_quicker()
# For each trainer it reads of all installed packages whether they have callbacks for it.
_trainers: Any = lightning.pytorch.trainer.connectors.callback_connector
_trainers._load_external_callbacks = cache(_trainers._load_external_callbacks)


class _Frozen:
    """What the collector of garbage need not look through for each command that a test runs: what was imported, say.

    It takes a third of a second. Commands freeze what there is of theirs, and unfreeze all there is.
    """

    def __init__(self) -> None:
        self.thawed, self.times, self._thaw = True, 0, gc.unfreeze
        gc.unfreeze = self.thaw

    def thaw(self) -> None:
        self.thawed = True
        self._thaw()

    def freeze_again(self) -> None:
        if self.thawed:
            if self.times % 200 == 0:  # what is garbage by now is kept until then
                gc.collect()
            gc.freeze()
            gc.enable()
            self.thawed = False
            self.times += 1


_frozen = _Frozen()


@pytest.fixture(autouse=True)
def _little_to_collect() -> None:
    """What was there before a test is not searched for garbage in it."""
    _frozen.freeze_again()


@pytest.fixture(autouse=True)
def _same_numbers_each_time() -> None:
    """What a test draws without saying from where is the same in every run."""
    torch.default_generator.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is not wrapped to the width that pytest-xdist, or readline, tells processes."""
    monkeypatch.delenv("COLUMNS", raising=False)
    os.unsetenv("COLUMNS")  # readline, which pytest imports, sets it where os.environ does not show it


@pytest.fixture(autouse=True)
def _started_anew() -> Iterator[None]:
    """A command that ran in this process without a name leaves its moment in the environment: not for the next."""
    yield
    os.environ.pop(STARTED, None)
    os.environ.pop(COMMAND, None)
    os.environ.pop(SWEPT, None)


@pytest.fixture(autouse=True)
def _no_data_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the user's cache by accident."""
    monkeypatch.setenv("INITLAB_DATA", NO_DATA)


@pytest.fixture(autouse=True)
def _no_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test replaces, and counts, is asked in its own process, though that has no other thread just then."""
    monkeypatch.setattr(forking, "may_fork", lambda: False)


@pytest.fixture(autouse=True)
def _imported_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that a test changes within a second is not taken for what Python keeps of it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture(autouse=True)
def _no_activation_of_another_test() -> Iterator[None]:
    """What a test registers is forgotten again, by all that look at the registry."""
    kept = dict(activations._KINDS)
    yield
    activations._KINDS.clear()
    activations._KINDS.update(kept)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have pictures with nothing in them, which takes no time."""

    def write_empty(picture: Picture, folder: Path, _: object) -> None:
        write_text_whole(folder / f"{picture.name}.svg", "<svg/>")
        write_text_whole(folder / f"{picture.name}.png", "")

    monkeypatch.setattr(write, "_write_picture", write_empty)


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Runs commands as processes of their own; it imports what is heavy once for all tests."""
    with open_commands() as found:
        yield found


@pytest.fixture
def own_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's module, importable while the test runs, that registers `halved`."""
    (tmp_path / "own_schemes.py").write_text(
        "import initlab\n"
        "@initlab.register_initializer('halved', source='our own', aliases=('half',))\n"
        "def halved(weight, *, fan, share: float = 0.5, generator):\n"
        "    'Fill `weight` from N(0, share/fan_in).'\n"
        "    weight.normal_(0, (share / fan.fan_in) ** 0.5, generator=generator)\n"
    )
    for name in ("_SCHEMES", "_ALIASES"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_schemes"
    sys.modules.pop("own_schemes", None)


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write bytes in the IDX format of LeCun's MNIST page."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with small files of the real formats: 200 + 60 images, and 1,599 made-up wines."""
    folder = tmp_path_factory.mktemp("small-data")
    rng = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        for part, rows in (("train", 200), ("t10k", 60)):
            labels = np.arange(rows) % 10
            images = rng.integers(0, 256, (rows, 28, 28))
            write_idx(folder / name / "raw" / f"{part}-images-idx3-ubyte", images)
            write_idx(folder / name / "raw" / f"{part}-labels-idx1-ubyte", labels)
    wines = rng.normal(size=(WINE_QUALITY_ROWS, 11)).round(3)
    quality = np.where(wines[:, 0] > 0, 6, 5)
    write_wines(folder / WINE_QUALITY_FILE, np.column_stack([wines, quality]))
    return folder


def write_wines(path: Path, rows: np.ndarray) -> None:
    """Write a file like UCI's."""
    lines = [";".join(f'"{column}"' for column in WINE_QUALITY_COLUMNS)]
    lines += [";".join(f"{value:g}" for value in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the real MNIST and red wines."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real data sets are not in {REAL_DATA}")
    folder = tmp_path_factory.mktemp("real-data")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for source in (REAL_DATA / "mnist").glob("*.gz"):
        (raw / source.stem).write_bytes(gzip.decompress(source.read_bytes()))
    (folder / WINE_QUALITY_FILE).write_bytes((REAL_DATA / WINE_QUALITY_FILE).read_bytes())
    return folder
