"""Building networks without random numbers that an initializer writes over at once."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Where numbers of a tensor go on without an operation of torch.
OUTWARDS: Final = frozenset({"numpy", "tolist", "data_ptr", "__array__", "__dlpack__"})


class Draws:
    """Which memory a constructor filled with random numbers, and whether anything else came to depend on these.

    Example:
        >>> draws = Draws()
        >>> with draws.noted():
        ...     layer = torch.nn.Linear(3, 3)
        >>> draws.only_in({address(layer.weight), address(layer.bias)}), draws.only_in({address(layer.weight)})
        (True, False)

    Attributes:
        into: Addresses of that memory.
        spread: Whether numbers were drawn in another way than into a whole tensor in place, or some were read.
    """

    def __init__(self) -> None:
        self.into: set[int] = set()
        self.spread = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is drawn while this context lasts; it changes nothing."""
        with _Outwards(self), _Noting(self):
            yield

    def only_in(self, overwritten: Collection[int]) -> bool:
        """Whether nothing depends on them once the memory at some addresses is written over."""
        return not self.spread and self.into <= set(overwritten)


@contextmanager
def drawing_nothing() -> Iterator[None]:
    """Leave what would be filled with random numbers in place as it is: memory that nobody has written to.

    For a constructor whose numbers are all written over afterwards, as `Draws.only_in` tells of one like it.
    """
    with _Nothing():  # type: ignore[no-untyped-call]  # torch's
        yield


def address(tensor: Tensor) -> int:
    """Where the memory of a tensor begins; the same for all views of it, and -1 where it has none of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse tensors, and what wraps others
        return -1


def fills_its_memory(tensor: Tensor) -> bool:
    """Whether all that shares memory with a tensor is part of it."""
    return address(tensor) > 0 and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


def _fills(operation: Any) -> bool:
    """Whether an operation fills its first argument with random numbers, whatever was in it."""
    return torch.Tag.nondeterministic_seeded in operation.tags and operation._schema.name.endswith("_")


class _Mode(TorchDispatchMode):
    """What sees each operation of torch.

    torch keeps its compiler out of such a mode, for which it imports it, and that takes a second. Constructors that are
    watched here compile nothing.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # torch asks for it; where it no longer does, it imports its compiler
        return False


class _Noting(_Mode):
    def __init__(self, draws: Draws) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self._draws = draws

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        found, draws = func(*args, **(kwargs or {})), self._draws
        given, made = _addresses((args, kwargs)), _addresses(found)
        leaves = bool(given & draws.into) and not (made and made <= draws.into)
        if _fills(func) and len(given) == 1:
            draws.into |= given
        elif leaves or torch.Tag.nondeterministic_seeded in func.tags:
            draws.spread = True
        return found


class _Outwards(TorchFunctionMode):
    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self._draws = draws

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        if getattr(func, "__name__", "") in OUTWARDS and _addresses(args) & self._draws.into:
            self._draws.spread = True
        return func(*args, **(kwargs or {}))


class _Nothing(_Mode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        return args[0] if _fills(func) else func(*args, **(kwargs or {}))


def _addresses(values: Any) -> set[int]:
    return {address(leaf) for leaf in tree_leaves(values) if isinstance(leaf, Tensor) and not leaf.is_meta}
