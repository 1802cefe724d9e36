"""The machine and the software that a result was measured on."""

import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from initlab.base.files import PACKAGE
from initlab.base.threads import usable_cores

PACKAGES = (
    "initlab",
    "torch",
    "lightning",
    "hydra-core",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pyarrow",
)


def describe_machine(accelerator: str, command: str | None = None) -> dict[str, Any]:
    """Describe what a result was measured on, as plain data to be written beside it.

    Args:
        accelerator: The key `trainer.accelerator`, e.g. `"auto"`, `"cpu"` or `"gpu"`.
        command: What was typed, as `command_line` writes it; None: this process's own command line, which in a worker
            process is not what was typed.

    Returns:
        The command, Python and package versions, host, platform, cores and device; and the commit, where initlab runs
        from a checkout, else None.
    """
    return {
        "command": command or command_line(sys.argv),
        "python": platform.python_version(),
        "versions": _versions(),
        "host": platform.node(),
        "platform": platform.platform(),
        "cores": usable_cores(),
        "device": device_name(accelerator),
        "commit": _commit(),
    }


def command_line(argv: Sequence[str]) -> str:
    """What was typed, so that it can be typed again.

    Example:
        >>> command_line(["/usr/bin/initlab-train", "init=he", "name=my study"])
        "initlab-train init=he 'name=my study'"

    Args:
        argv: As `sys.argv`: the program first, then its arguments.
    """
    program = Path(argv[0])
    name = (
        f"python -m initlab.{program.stem}"
        if program.suffix == ".py" and program.resolve().parent == PACKAGE
        else program.name
    )
    return f"{name} {shlex.join(argv[1:])}".strip()


def device_name(accelerator: str) -> str:
    """The device that the configured accelerator stands for on this machine.

    Args:
        accelerator: The key `trainer.accelerator`.

    Returns:
        The name of the first Nvidia GPU, `"mps"` for Apple's, or `"cpu"`.
    """
    import torch

    if trains_on_cuda(accelerator):
        return torch.cuda.get_device_name(0)
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def trains_on_cuda(accelerator: str) -> bool:
    """Whether the configured accelerator, `trainer.accelerator`, is an Nvidia GPU on this machine."""
    import torch

    return may_be_cuda(accelerator) and torch.cuda.is_available()


def may_be_cuda(accelerator: str) -> bool:
    """Whether the configured accelerator, `trainer.accelerator`, is an Nvidia GPU on a machine that has one."""
    return accelerator in ("auto", "gpu", "cuda")


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


@cache
def _commit() -> str | None:
    """The commit of the checkout that initlab was imported from, with a + if it has changes; None elsewhere."""
    if not (PACKAGE.parent / ".git").exists():
        return None
    try:
        describe = ("describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")
        command = ["git", "-C", str(PACKAGE.parent), *describe]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
