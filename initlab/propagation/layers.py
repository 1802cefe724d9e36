"""The layers of a network in the order in which they run, and where the signal is looked at."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrize import is_parametrized

from initlab.activations import Activation, activation_of, nonlinearity_of
from initlab.base.errors import UserError
from initlab.initializers.norms import is_norm
from initlab.initializers.slots import Slot, find_slots, is_weight_shaped, why_not_filled
from initlab.modules.batch import Batch
from initlab.modules.measuring import first_tensor, measuring, random_states
from initlab.propagation.saturation import saturation_limit

Side = Literal["input", "output"]


class Site(NamedTuple):
    """A place where the signal is looked at: the input or the output of a module at one of its calls.

    A tuple, as sites are looked up whenever a signal passes, and its hash is computed in no time.

    Attributes:
        module: Its name in the network, as `named_modules` has it.
        call: 1 for its first call in a forward pass.
        side: `input`, its first argument; or `output`.
    """

    module: str
    call: int
    side: Side


@dataclass(frozen=True)
class Layer:
    """One layer with a weight, at one of its calls.

    Attributes:
        name: Name of the module in the network; with `#2` at its second call.
        weight: Name of its weight, such as `0.weight`, under which `named_parameters` has it; None where it is computed
            from other parameters.
        before: Site of the pre-activation: the input of the nonlinearity that follows, with a norm or a sum in
            between, or the layer's own output where none follows before the next layer.
        after: Site of the post-activation, that nonlinearity's output; None where none follows, or it is no module.
        output: Site of the layer's own output, by which the gradient is taken: whoever reads it, the nonlinearity, a
            residual sum or both, sends some of it back. Where a sum alone stands between, it is the gradient by the
            pre-activation, too.
        channels_first: Whether units are the second dimension, as a convolution's channels are, or the last.
        shape: Shape of the pre-activation, rows first.
        output_shape: Shape of the layer's own output, which pooling before the nonlinearity makes smaller.
        dtype: Data type of the layer's own output.
        rows: How many rows the batch has.
        steps_first: Whether the layer says of itself that steps come before rows in what it gives.
        saturates_below: The slope of the nonlinearity under which a pre-activation counts as saturated; None where none
            follows, or it is one that never saturates.
        bend: That nonlinearity, where it is a registered one without learned numbers.
    """

    name: str
    weight: str | None
    before: Site
    after: Site | None
    output: Site
    channels_first: bool
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    dtype: torch.dtype
    rows: int
    steps_first: bool = False
    saturates_below: float | None = None
    bend: Activation | None = None

    @property
    def units(self) -> int:
        """How many units the layer has, or channels."""
        return self.shape[1 if self.channels_first and len(self.shape) > 2 else -1]

    @property
    def entries(self) -> int:
        """How many numbers a row of the layer's own output has."""
        shape = self.output_shape
        return prod(shape[:1] + shape[2:] if self._steps_come_first(shape) else shape[1:])

    def rows_first(self, signal: Tensor) -> Tensor:
        """The signal at one of its sites with the batch's rows as the first dimension."""
        return signal.transpose(0, 1) if self._steps_come_first(tuple(signal.shape)) else signal

    def _steps_come_first(self, shape: tuple[int, ...]) -> bool:
        """Whether rows are the second dimension, as recurrent networks like them to be.

        Shapes tell but where there are as many steps as rows; there the layer's own word counts.
        """
        if self.channels_first or len(shape) < 3 or shape[1] != self.rows:
            return False
        return shape[0] != self.rows or self.steps_first


@dataclass(frozen=True)
class Layout:
    """What can be looked at in a network.

    Attributes:
        layers: In the order in which they run.
        unseen: By the names of the weights of which nothing can be seen, the reason: their layer is not called as a
            module of its own, or not with a single tensor; or nobody knows what they do.
        output: Shape and type of what the network returns, its first tensor of numbers, on the meta device; None if
            there is none.
        alone: Whether the network returns that tensor and nothing else.
        draws: Whether a forward pass draws from a global generator.
    """

    layers: tuple[Layer, ...]
    unseen: Mapping[str, str]
    output: Tensor | None = None
    alone: bool = True
    draws: bool = False


@dataclass(frozen=True)
class _Event:
    """A call of a module that was seen, with the tensors' shapes and dtypes."""

    name: str
    call: int
    is_layer: bool
    entering: Tensor
    leaving: Tensor


def _holds_more(slot: Slot, slots: Sequence[Slot]) -> bool:
    """Whether a weight that a module declares is one of several in it or below, so that it is no layer by itself."""
    if not hasattr(slot.layer, "initlab_weights"):
        return False
    prefix = f"{slot.layer_name}." if slot.layer_name else ""
    return any(other is not slot and f"{other.layer_name}.".startswith(prefix) for other in slots)


def find_layout(model: nn.Module, batch: Batch) -> Layout:
    """Send a batch through a network once, and see in which order its layers run; the network stays as it was.

    Args:
        model: Any network.
        batch: Rows on the network's device; the layout holds for batches of their shape.

    Raises:
        UserError: no layer with a weight is called as a module of its own.
    """
    slots = find_slots(model)
    registered = {id(parameter): name for name, parameter in model.named_parameters()}
    weights = {slot.layer_name: registered.get(id(slot.weight)) for slot in slots if not _holds_more(slot, slots)}
    shared = {id(slot.weight) for slot in slots if not slot.computed}
    for name, module in model.named_modules():  # layers that share another's weight
        if (
            isinstance(module, nn.Linear | _ConvNd | nn.Embedding)
            and not is_parametrized(module)
            and id(module.weight) in shared
        ):
            weights[name] = registered[id(module.weight)]
    calls: dict[str, int] = {}
    events: list[_Event] = []

    def hook(name: str) -> Callable[..., None]:
        def on_call(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            given = [*args, *kwargs.values()]
            if isinstance(output, Tensor) and given and isinstance(given[0], Tensor):
                calls[name] = calls.get(name, 0) + 1
                # On the meta device: shapes alone.
                shapes = given[0].to("meta"), output.to("meta")
                events.append(_Event(name, calls[name], name in weights, *shapes))

        return on_call

    with ExitStack() as hooks, measuring(model), torch.no_grad():
        for name, module in model.named_modules():
            if name in weights or nonlinearity_of(module) is not None:
                handle = module.register_forward_hook(hook(name), with_kwargs=True)
                hooks.callback(handle.remove)
        before = random_states()
        outputs = batch.through(model)
        draws = random_states() != before
    returned = first_tensor(outputs)
    called = {event.name for event in events}
    unseen = {
        slot.name: "its layer is not called as a module with a single tensor in and out"
        for slot in slots
        if slot.layer_name not in called
    }
    known = {name for slot in slots for name in slot.names}
    for name, parameter in model.named_parameters():
        matrix = is_weight_shaped(parameter) or (parameter.dim() > 1 and not parameter.numel())
        if matrix and name not in known and not _in_known(model, name):
            kind = type(model.get_submodule(name.rpartition(".")[0])).__name__
            unseen[name] = why_not_filled(parameter) or f"initlab does not know what {kind} does with it"
    layers = tuple(_layers_of(events, weights, model, rows=len(batch)))
    if not layers:
        raise UserError(
            f"no layer of {type(model).__name__} is called as a module of its own, so that none can be looked at"
        )
    shape = None if returned is None else returned.to("meta")
    return Layout(layers, unseen, shape, alone=isinstance(outputs, Tensor), draws=draws)


def _in_known(model: nn.Module, name: str) -> bool:
    """Whether a parameter is a norm's, initlab's own, or one that a known weight is computed from."""
    module = model.get_submodule(name.rpartition(".")[0])
    ours = type(module).__module__.startswith("initlab.")
    return ours or is_norm(module) or ".parametrizations." in f".{name}"


def _layers_of(
    events: list[_Event], weights: Mapping[str, str | None], model: nn.Module, *, rows: int
) -> Iterator[Layer]:
    places = [place for place, event in enumerate(events) if event.is_layer]
    limits: dict[Hashable, float | None] = {}  # most networks have one nonlinearity, in many places
    for place, following in pairwise([*places, None]):
        assert place is not None
        event = events[place]
        output = Site(event.name, event.call, "output")
        bends = [other for other in events[place + 1 : following] if not other.is_layer]
        if bends:
            before, shown = Site(bends[0].name, bends[0].call, "input"), bends[0].entering
            after: Site | None = Site(bends[0].name, bends[0].call, "output")
        else:
            before, shown = output, event.leaving
            after = None
        module = model.get_submodule(event.name)
        bend = model.get_submodule(bends[0].name) if bends else None
        known = None if bend is None or next(bend.parameters(), None) is not None else activation_of(bend)
        kind = bend if known is None else (known.name, *sorted(known.parameters.items()))
        if bend is not None and kind not in limits:
            limits[kind] = saturation_limit(bend)
        yield Layer(
            name=event.name if event.call == 1 else f"{event.name}#{event.call}",
            weight=weights[event.name],
            before=before,
            after=after,
            output=output,
            channels_first=isinstance(module, _ConvNd),
            shape=tuple(shown.shape),
            output_shape=tuple(event.leaving.shape),
            dtype=event.leaving.dtype,
            rows=rows,
            steps_first=getattr(module, "steps_first", False),
            saturates_below=None if bend is None else limits[kind],
            bend=known,
        )


Visit = Callable[[Site, nn.Module, Tensor], Tensor]


@contextmanager
def looking(model: nn.Module, layout: Layout, visit: Visit) -> Iterator[None]:
    """Call `visit` at every site of a network whenever it runs within a `with` block.

    Args:
        model: The network; hooks are on it until the block ends.
        layout: Its layers, whose outputs, pre- and post-activations are the sites.
        visit: Called with the site, its module and the tensor there; the tensor that it returns goes on instead.
    """
    places = (site for layer in layout.layers for site in (layer.output, layer.before, layer.after))
    wanted = {site for site in places if site is not None}
    names = {site.module for site in wanted}
    entered = {site.module for site in wanted if site.side == "input"}
    calls: dict[str, int] = dict.fromkeys(names, 0)

    def reset(_module: nn.Module, _args: tuple[Any, ...]) -> None:
        calls.update(dict.fromkeys(names, 0))

    def enter(name: str) -> Callable[..., Any]:
        def on_enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            calls[name] += 1
            site = Site(name, calls[name], "input")
            if site not in wanted:
                return None
            if args:
                return (visit(site, module, args[0]), *args[1:]), kwargs
            first = next(iter(kwargs))
            return args, kwargs | {first: visit(site, module, kwargs[first])}

        return on_enter

    def leave(name: str) -> Callable[..., Any]:
        def on_leave(module: nn.Module, _args: tuple[Any, ...], output: Any) -> Any:
            if name not in entered:
                calls[name] += 1
            site = Site(name, calls[name], "output")
            return visit(site, module, output) if site in wanted else None

        return on_leave

    with ExitStack() as hooks:
        hooks.callback(model.register_forward_pre_hook(reset).remove)
        for name in names:
            module = model.get_submodule(name)
            if name in entered:
                hooks.callback(module.register_forward_pre_hook(enter(name), with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(leave(name)).remove)
        yield
