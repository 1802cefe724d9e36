"""What a compiled program depends on, as a key under which it is kept on disk.

A program that is found under its key runs without being traced, so nothing that could change it may be missing from
the key. Objects are written down whole, as pickle does, but for the numbers in tensors, which a program is given. Code
is not written down: that of torch and Lightning is known by a version, and ours by its text. An object with code of
anybody else, such as a network of a user's own, has no key.
"""

import hashlib
import io
import pickle
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

import torch
from torch import Tensor

from initlab.base.files import PACKAGE

KNOWN_CODE: Final = frozenset(
    (
        "initlab",
        "torch",
        "lightning",
        "builtins",
        "collections",
        "contextlib",
        "copyreg",
        "functools",
        "math",
        "operator",
    )
)


def compiled_key(*described: Any) -> str | None:
    """A name for a program that depends on some objects, on this machine, with this code.

    Example:
        >>> compiled_key(nn.Linear(3, 2)) == compiled_key(nn.Linear(3, 2))
        True
        >>> compiled_key(nn.Linear(3, 2)) == compiled_key(nn.Linear(3, 4))
        False
        >>> compiled_key(lambda values: values) is None
        True

    Args:
        described: Everything that the program is made from. Of a tensor counts what kind it is, not its numbers.

    Returns:
        Hexadecimal digits; None where an object has code that is not known by a version.
    """
    try:
        written = _written(described)
    except Exception:  # whatever pickle makes of a closure, a file, a cycle, or code that is not known
        return None
    return hashlib.sha256(_surroundings() + written).hexdigest()[:32]


def _written(value: Any) -> bytes:
    into = io.BytesIO()
    writer = _Writer(into, protocol=5)
    writer.fast = True  # whether two equal parts are one object makes no difference
    writer.dump(value)
    return into.getvalue()


class _Writer(pickle.Pickler):
    """Writes objects with the kinds of their tensors, and refuses code that is not known."""

    def persistent_id(self, value: Any) -> Any:
        """What stands for a tensor."""
        if not isinstance(value, Tensor):
            return None
        return (
            type(value).__name__,
            tuple(value.shape),
            value.stride(),
            str(value.dtype),
            value.device.type,
            value.requires_grad,
        )

    def reducer_override(self, value: Any) -> Any:
        """Let pickle write everything as it does, by name what is code."""
        if isinstance(value, type | FunctionType | BuiltinFunctionType):
            module = getattr(value, "__module__", None) or ""
            if module.partition(".")[0] not in KNOWN_CODE:
                raise pickle.PicklingError(f"{module}: not known by a version")
        return NotImplemented


def _surroundings() -> bytes:
    """What else decides what a compiler makes of a program: the processor, torch with its settings, and our code."""
    settings = (
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
    )
    versions = (torch.__version__, torch.version.git_version, version("lightning"))
    return repr((_processor(), versions, _own_code(), settings)).encode()


@cache
def _processor() -> str:
    """What this processor can do: programs use all of it, and other machines may see the same disk."""
    info = Path("/proc/cpuinfo")
    known = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    flags = sorted({line for line in known if line.startswith(("model name", "flags", "Features"))})
    return repr((platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability(), flags))


@cache
def _own_code() -> str:
    """A hash of all our modules."""
    code = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        code.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()
