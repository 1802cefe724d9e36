"""Imports that leave out the garbage collector, for modules of initlab's alone."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import initlab
from initlab.base.importing import load

SAYS_WHETHER = "import gc\n\nCOLLECTED = gc.isenabled()\n"


@pytest.fixture(autouse=True)
def _melted() -> Iterator[None]:
    """Other tests go through all objects: none stays frozen."""
    assert gc.isenabled()
    known = set(sys.modules)
    yield
    assert gc.isenabled()
    gc.unfreeze()
    for name in sys.modules.keys() - known:
        del sys.modules[name]


def test_a_module_of_initlabs_is_not_searched_for_garbage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quick.py").write_text(SAYS_WHETHER)
    (tmp_path / "own_quick.py").write_text(SAYS_WHETHER)
    (tmp_path / "faulty.py").write_text("import gc\nassert gc.isenabled(), 'no collector'\n")
    monkeypatch.setattr(initlab, "__path__", [*initlab.__path__, str(tmp_path)])
    monkeypatch.syspath_prepend(tmp_path)
    before = gc.get_freeze_count()
    assert load("own_quick").COLLECTED
    assert gc.get_freeze_count() == before
    found = load("initlab.quick")
    assert not found.COLLECTED
    frozen = gc.get_freeze_count()
    assert frozen > before
    assert load("initlab.quick") is found
    assert gc.get_freeze_count() <= frozen
    with pytest.raises(AssertionError, match="no collector"):
        load("initlab.faulty")
    assert gc.isenabled()


def test_who_has_switched_the_collector_off_finds_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calm.py").write_text(SAYS_WHETHER)
    monkeypatch.setattr(initlab, "__path__", [*initlab.__path__, str(tmp_path)])
    before = gc.get_freeze_count()
    gc.disable()
    try:
        assert not load("initlab.calm").COLLECTED
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert gc.get_freeze_count() == before
