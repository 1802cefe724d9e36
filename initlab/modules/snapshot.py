"""A copy of a network's numbers, to put them back."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Snapshot:
    """Copies of tensors as they were when they were kept, to put them back bit for bit.

    A tensor is kept when `keep` is called for the first time, so that whoever changes few of them copies few.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._held: dict[int, tuple[nn.Module, dict[str, Tensor | None]]] = {}

    def keep(self, tensor: Tensor) -> None:
        """Copy a tensor, before it is changed; what was copied before stays.

        Args:
            tensor: A parameter or a buffer, on any device.
        """
        if id(tensor) not in self._kept:
            self._kept[id(tensor)] = (tensor, tensor.detach().clone())

    def keep_buffers(self, module: nn.Module) -> None:
        """Keep the buffers of a module and of all modules in it, which may be replaced by others."""
        for part in module.modules():
            self._held.setdefault(id(part), (part, dict(part._buffers)))
            for buffer in part.buffers(recurse=False):
                self.keep(buffer)

    def keep_all(self, model: nn.Module) -> None:
        """Copy every parameter and every buffer of a network."""
        for tensor in (*model.parameters(), *model.buffers()):
            self.keep(tensor)

    @torch.no_grad()
    def restore(self) -> None:
        """Put all kept tensors back in place."""
        for module, buffers in self._held.values():
            module._buffers.clear()
            module._buffers.update(buffers)
        for tensor, copy in self._kept.values():
            tensor.copy_(copy)


class Changes(Snapshot):
    """Keeps no copies, only which tensors are changed one by one.

    Attributes:
        changed: The `id` of each tensor that was to be kept, but for those of a whole network at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[int] = set()

    def keep(self, tensor: Tensor) -> None:
        """Note a tensor, before it is changed."""
        self.changed.add(id(tensor))

    def keep_buffers(self, module: nn.Module) -> None:
        """Take no copy."""

    def keep_all(self, model: nn.Module) -> None:
        """Take no copy: any of them may be changed, and it is not known which."""


@contextlib.contextmanager
def undone_on_failure() -> Iterator[Snapshot]:
    """Give a snapshot to keep tensors in; whatever is raised in this context puts them back.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> before = layer.weight.clone()
        >>> with contextlib.suppress(ValueError), undone_on_failure() as snapshot:
        ...     snapshot.keep(layer.weight)
        ...     _ = nn.init.zeros_(layer.weight)
        ...     raise ValueError
        >>> bool((layer.weight == before).all())
        True
    """
    snapshot = Snapshot()
    try:
        yield snapshot
    except BaseException:  # an interrupt from the keyboard, too
        snapshot.restore()
        raise
