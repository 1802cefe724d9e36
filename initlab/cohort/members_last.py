"""A traced program rewritten so that the members of a cohort are the last dimension of every tensor, not the first.

`torch.func.vmap` puts members first. Where the layers are small, a compiler then works on rows of ten numbers. With
members last and contiguous, every operation runs over hundreds of neighbouring numbers, and a small product is a loop
of multiplications and additions that needs no library.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import Tensor, fx
from torch.utils._pytree import tree_any, tree_map_only

aten = torch.ops.aten


class _RefusedError(Exception):
    """A rule cannot keep the members last."""


@dataclass(frozen=True)
class Last:
    """A tensor of all members: what is (members, …) in the traced program is here (…, members).

    Attributes:
        value: The numbers, members last.
    """

    value: Tensor

    @property
    def dim(self) -> int:
        """How many dimensions there are, that of the members included."""
        return self.value.dim()

    @property
    def members(self) -> int:
        """How many members there are."""
        return self.value.shape[-1]

    def first(self) -> Tensor:
        """The numbers with members first."""
        return self.value.movedim(-1, 0)

    def own(self, dim: int) -> int:
        """The place of a dimension of the traced program among `value`'s, 0 and more.

        Raises:
            _RefusedError: it is that of the members.
        """
        place = dim % self.dim
        if place == 0:
            raise _RefusedError
        return place - 1


def members_last(value: Tensor) -> Tensor:
    """The same numbers and shape (members, …), laid out in memory so that members are neighbours."""
    return value.movedim(0, -1).contiguous().movedim(-1, 0)


class MembersLast(fx.Interpreter):
    """Runs a traced program with members last; what has no rule runs as it was traced.

    Called with `Last` for inputs of all members and tensors for others; gives the same for its outputs.

    Args:
        program: Operations of aten, as `make_fx` traces them from a vectorized function.
    """

    def __init__(self, program: fx.GraphModule) -> None:
        super().__init__(program)
        self._copied: set[int] = set()

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operation by its rule; with members first where there is none, or the rule cannot keep them last."""
        if target is operator.getitem:
            return super().call_function(target, args, kwargs)
        if not tree_any(lambda one: isinstance(one, Last), (args, kwargs), _is_last):
            return self._with_members_first(target, args, kwargs)
        rule = RULES.get(target)
        if rule is None and torch.Tag.pointwise in getattr(target, "tags", ()):
            rule = _pointwise
        if rule is not None:
            try:
                return rule(target, *args, **kwargs)
            except _RefusedError:
                pass
        return self._with_members_first(target, *tree_map_only(Last, Last.first, (args, kwargs), _is_last))

    def _with_members_first(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation as it was traced; what was a view there may be a copy here, which nothing may write to."""
        if target in (aten.view.default, aten._unsafe_view.default):
            given, size = args
            found = given.reshape(size)
            if _storage(found) != _storage(given):
                self._copied.add(_storage(found))
            return found
        tensors = [one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)]
        if target._schema.is_mutable and any(_storage(one) in self._copied for one in tensors):
            raise NotImplementedError(f"{target} writes to what has all members in one row")
        return super().call_function(target, args, kwargs)


def _storage(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)


def _is_last(value: Any) -> bool:
    return isinstance(value, Last)


def _pointwise(target: Any, *args: Any, **kwargs: Any) -> Last:
    """Number by number: all members' tensors have one rank, and others are aligned with them."""
    given = [one for one in (*args, *kwargs.values()) if isinstance(one, Last)]
    rank, members = given[0].dim, given[0].members
    if any(one.dim != rank for one in given):
        raise _RefusedError

    def aligned(value: Any) -> Any:
        if isinstance(value, Last):
            return value.value
        if not isinstance(value, Tensor) or value.dim() == 0:
            return value
        if value.dim() > rank:
            raise _RefusedError
        if value.dim() < rank:
            return value.unsqueeze(-1)
        if value.shape[0] not in (1, members):
            raise _RefusedError
        return value.movedim(0, -1)

    kwargs = {name: None if name == "memory_format" else aligned(value) for name, value in kwargs.items()}
    return Last(target(*map(aligned, args), **kwargs))


def _reduction(target: Any, given: Any, dims: Any = None, *args: Any, **kwargs: Any) -> Last:
    if not isinstance(given, Last) or dims is None or dims == []:
        raise _RefusedError
    own = given.own(dims) if isinstance(dims, int) else [given.own(dim) for dim in dims]
    return Last(target(given.value, own, *args, **kwargs))


def _var_mean(target: Any, given: Any, dims: Any = None, **kwargs: Any) -> tuple[Last, ...]:
    if not isinstance(given, Last) or not dims:
        raise _RefusedError
    return tuple(Last(found) for found in target(given.value, [given.own(dim) for dim in dims], **kwargs))


def _softmax_backward(target: Any, gradient: Any, output: Any, dim: int, dtype: torch.dtype) -> Last:
    if not isinstance(gradient, Last) or not isinstance(output, Last):
        raise _RefusedError
    return Last(target(gradient.value, output.value, gradient.own(dim), dtype))


def _view(_: Any, given: Last, size: Sequence[int]) -> Last:
    sizes = list(size)
    if -1 in sizes:
        known = -torch.Size(sizes).numel()
        sizes[sizes.index(-1)] = given.value.numel() // known if known else 0
    if not sizes or sizes[0] != given.members or given.members == 0:
        raise _RefusedError
    return Last(given.value.reshape(*sizes[1:], given.members))


def _expand(_: Any, given: Last, size: Sequence[int], **__: Any) -> Last:
    if len(size) != given.dim or size[0] not in (-1, given.members):
        raise _RefusedError
    return Last(given.value.expand(*size[1:], given.members))


def _permute(_: Any, given: Last, dims: Sequence[int]) -> Last:
    if dims[0] % given.dim != 0:
        raise _RefusedError
    return Last(given.value.permute(*(given.own(dim) for dim in dims[1:]), given.dim - 1))


def _transpose(_: Any, given: Last, one: int, other: int) -> Last:
    return Last(given.value.transpose(given.own(one), given.own(other)))


def _unsqueeze(_: Any, given: Last, dim: int) -> Last:
    place = dim % (given.dim + 1)
    if place == 0:
        raise _RefusedError
    return Last(given.value.unsqueeze(place - 1))


def _along(target: Any, given: Last, dim: Any = 0, *args: Any) -> Last:
    """Something along one dimension, or several, such as a slice."""
    own = [given.own(one) for one in dim] if isinstance(dim, list | tuple) else given.own(dim)
    return Last(target(given.value, own, *args))


def _joined(target: Any, given: Sequence[Any], dim: int = 0) -> Last:
    if not all(isinstance(one, Last) for one in given):
        raise _RefusedError
    return Last(target([one.value for one in given], given[0].own(dim)))


def _same(_: Any, given: Last, *__: Any, **___: Any) -> Last:
    return Last(given.value)


def _copy(_: Any, given: Last, **__: Any) -> Last:
    return Last(given.value.clone(memory_format=torch.contiguous_format))


def _like(target: Any, given: Last, *args: Any, **kwargs: Any) -> Last:
    return Last(target(given.value, *args, **{**kwargs, "memory_format": torch.contiguous_format}))


def _product(_: Any, one: Any, other: Any) -> Last:
    """(members, n, k) × (members, k, m), as multiplications and sums."""
    if not isinstance(one, Last) or not isinstance(other, Last):
        raise _RefusedError
    return Last((one.value.unsqueeze(2) * other.value.unsqueeze(0)).sum(1))


def _product_added(_: Any, to: Any, one: Any, other: Any, *, beta: float = 1, alpha: float = 1) -> Last:
    found = _product(_, one, other)
    return _pointwise(aten.add.Tensor, to if beta == 1 else _pointwise(aten.mul.Tensor, to, beta), found, alpha=alpha)


def _is_class(index: Last, like: Last, place: int) -> Tensor:
    """Where each index points to, as truth values of the shape of `like.value`."""
    if index.value.shape[place] != 1 or index.dim != like.dim:
        raise _RefusedError
    classes = torch.arange(like.value.shape[place], device=index.value.device)
    return index.value == classes.view([-1 if dim == place else 1 for dim in range(like.dim)])


def _gather(_: Any, given: Any, dim: int, index: Any, **__: Any) -> Last:
    """One entry of each row, such as the log probability of its class, as a sum over all of which one is not zeroed."""
    if not isinstance(given, Last) or not isinstance(index, Last):
        raise _RefusedError
    place = given.own(dim)
    chosen = torch.where(_is_class(index, given, place), given.value, 0)
    return Last(chosen.sum(place, keepdim=True, dtype=given.value.dtype))


def _scatter_add(_: Any, given: Any, dim: int, index: Any, source: Any) -> Last:
    """What `_gather` needs on the way back."""
    index, source = (one if isinstance(one, Last) else None for one in (index, source))
    if index is None or source is None:
        raise _RefusedError
    if not isinstance(given, Last):
        if given.dim() != index.dim or given.shape[0] != index.members:
            raise _RefusedError
        given = Last(given.movedim(0, -1))
    place = given.own(dim)
    return Last(given.value + torch.where(_is_class(index, given, place), source.value, 0))


Rule = Callable[..., Any]
RULES: Final[Mapping[Any, Rule]] = MappingProxyType(
    {
        aten.sum.dim_IntList: _reduction,
        aten.mean.dim: _reduction,
        aten.amax.default: _reduction,
        aten.amin.default: _reduction,
        aten.var.correction: _reduction,
        aten.any.dim: _reduction,
        aten.argmax.default: _reduction,
        aten.linalg_vector_norm.default: lambda target, given, order=2, dims=None, *args, **kwargs: _reduction(
            lambda value, own, *more, **named: target(value, order, own, *more, **named), given, dims, *args, **kwargs
        ),
        aten.var_mean.correction: _var_mean,
        aten._softmax.default: _reduction,
        aten._log_softmax.default: _reduction,
        aten._softmax_backward_data.default: _softmax_backward,
        aten._log_softmax_backward_data.default: _softmax_backward,
        aten.view.default: _view,
        aten._unsafe_view.default: _view,
        aten.reshape.default: _view,
        aten.expand.default: _expand,
        aten.permute.default: _permute,
        aten.transpose.int: _transpose,
        aten.unsqueeze.default: _unsqueeze,
        aten.squeeze.dim: _along,
        aten.squeeze.dims: _along,
        aten.select.int: _along,
        aten.slice.Tensor: _along,
        aten.flip.default: _along,
        aten.cat.default: _joined,
        aten.detach.default: _same,
        aten.alias.default: _same,
        aten.clone.default: _copy,
        aten.ones_like.default: _like,
        aten.zeros_like.default: _like,
        aten.copy_.default: _pointwise,
        aten.full_like.default: _like,
        aten.bmm.default: _product,
        aten.baddbmm.default: _product_added,
        aten.gather.default: _gather,
        aten.scatter_add.default: _scatter_add,
    }
)
