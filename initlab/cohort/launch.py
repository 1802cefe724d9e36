"""Many operations of a GPU in one launch."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from initlab.base.errors import first_line

Function = Callable[..., Sequence[Tensor]]


class Launch:
    """Calls a function of tensors on a GPU, and from the second call on launches all its operations at once.

    They are recorded as a CUDA graph, so that the processor does not start one after the other. What the function
    reads and writes besides its arguments must stay where it is in memory, and so must the shapes of the arguments.
    What it returns is written to again by the next call.
    """

    def __init__(self) -> None:
        self._given: list[Tensor] = []
        self._found: Sequence[Tensor] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._cannot = False

    def __call__(self, function: Function, *given: Tensor) -> Sequence[Tensor]:
        """Call the function, the same one each time.

        Args:
            function: What to call.
            given: Its arguments, tensors on the GPU.
        """
        if self._cannot:
            return function(*given)
        if not self._given:  # torch may compile in this call, which cannot be recorded
            self._given = [one.contiguous().clone() for one in given]
            return function(*self._given)
        torch._foreach_copy_(self._given, given)
        if self._graph is None and not self._record(function):
            return function(*given)
        assert self._graph is not None
        self._graph.replay()
        return self._found

    def _record(self, function: Function) -> bool:
        """Note the operations, none of which is done now; False, with a warning, where they cannot be."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self._found = function(*self._given)
        except RuntimeError as error:
            self._cannot = True
            warnings.warn(f"compile: no single launch for a step on this GPU ({first_line(error)})", stacklevel=2)
            return False
        self._graph = graph
        return True
