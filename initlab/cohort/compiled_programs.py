"""Compiled programs on disk: what was compiled once is loaded the next time, without torch's tracer and compiler."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, fx

from initlab.base.errors import UserError
from initlab.base.files import write_whole
from initlab.base.lock import locked

MOST_PROGRAMS: Final = 200  # of 1.6 MB each; where there are more, those that were not used for longest go

Program = Callable[..., Any]


def compiled_folder() -> Path:
    """Where programs are kept: in the folder that `INITLAB_COMPILED` names, or in the user's cache."""
    return Path(os.environ.get("INITLAB_COMPILED") or "~/.cache/initlab/compiled").expanduser()


def load_program(key: str) -> Program | None:
    """The program that was kept under a key; None where there is none that can be loaded.

    Args:
        key: Of `compiled_key`.
    """
    path = _path(key)
    try:
        os.utime(path)  # it is in use
        return _loaded(path)
    except (OSError, RuntimeError):  # torch says so of a file that it cannot read
        return None


def keep_program(traced: fx.GraphModule, key: str) -> Program:
    """Compile a traced program for the CPU, keep it, and load it; or load what another process compiled meanwhile.

    Args:
        traced: Operations on tensors, some of which it may change in place. It has no random operation.
        key: Of `compiled_key`.

    Raises:
        Exception: whatever a machine without a compiler, or an operation that cannot be compiled ahead, brings about.
        OSError: it cannot be written.
    """
    with contextlib.ExitStack() as held:
        lock = _path(key).with_suffix(".lock")
        with contextlib.suppress(UserError):  # it cannot be locked: then both compile
            held.enter_context(locked(lock, wait=True))
            held.callback(lock.unlink, missing_ok=True)
        return load_program(key) or _compiled(traced, key)


def _compiled(traced: fx.GraphModule, key: str) -> Program:
    import torch._inductor  # imports torch's compiler

    arguments = tuple(_like(node.meta["val"]) for node in traced.graph.nodes if node.op == "placeholder")
    exported = torch.export.export(traced, arguments, strict=False)
    settings = {
        "cpp.vec_isa_ok": True,  # no trial programs on whether the C++ compiler knows what the processor can
        "cpp.threads": torch.get_num_threads(),
    }
    with tempfile.TemporaryDirectory() as folder:
        made = torch._inductor.aoti_compile_and_package(
            exported, package_path=str(Path(folder) / f"{key}.pt2"), inductor_configs=settings
        )
        write_whole(_path(key), lambda partial: shutil.copyfile(made, partial))
    _forget_oldest()
    return _loaded(_path(key))


def is_random(traced: fx.GraphModule) -> bool:
    """Whether a program draws random numbers."""
    return any(torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) for node in traced.graph.nodes)


def _path(key: str) -> Path:
    return compiled_folder() / f"{key}.pt2"


def _loaded(path: Path) -> Program:
    try:  # what torch._inductor.aoti_load_package does, whose import takes a second
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
    except TypeError:  # in torch 2.7 it is called with less
        from torch._inductor import aoti_load_package

        loaded: Program = aoti_load_package(str(path))
        return loaded
    return lambda *tensors: loader.boxed_run(list(tensors))


def _like(kind: Tensor) -> Tensor:
    return torch.empty_strided(kind.shape, kind.stride(), dtype=kind.dtype, device=kind.device)


def _forget_oldest() -> None:
    kept = sorted(compiled_folder().glob("*.pt2"), key=lambda path: path.stat().st_mtime)
    for path in kept[:-MOST_PROGRAMS]:
        path.unlink(missing_ok=True)
