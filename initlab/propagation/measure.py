"""What a batch and its gradient look like in every layer, for many networks of one structure at once."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, prod
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vjp
from torch.utils._pytree import tree_flatten, tree_unflatten

from initlab.base.errors import UserError, first_line
from initlab.modules.batch import Batch
from initlab.modules.calling import call_with
from initlab.modules.measuring import first_tensor, measuring
from initlab.modules.stack import Stack, State
from initlab.propagation.later import LONGEST, Later, stack
from initlab.propagation.layers import Layer, Layout, Site, looking
from initlab.propagation.samples import MOST_ROWS, Sample, known, of_samples, responses, weights_of_samples

Loss = Callable[[Any, Any], Tensor]

MEMORY: Final = 2**30  # bytes of one vectorized pass, about
ORDINARY: Final = 1e-12, 1e12  # mean squares of values whose fourth powers are well within single precision
SHORT: Final = 4096  # entries of a row

NO_NUMBERS: Final = "the network returns no tensor of floating-point numbers: there is no gradient to look at"

# What is measured of each layer; `tables.schema.SIGNAL` says what each is.
MEASURED: Final = (
    "pre_mean",
    "pre_std",
    "pre_second_moment",
    "post_mean",
    "post_std",
    "post_second_moment",
    "dead",
    "saturated",
    "correlation",
    "distinct_units",
    "effective_rank",
    "gradient_second_moment",
    "gradient_correlation",
    "weight_norm",
    "weight_gradient_norm",
)
OF_WEIGHTS: Final = ("weight_norm", "weight_gradient_scale", "weight_gradient_square")
OUTPUT_GRADIENT: Final = "output_gradient"
LOSS: Final = "loss"  # the sum over the rows
# What a forward pass sums up of each.
SEEN: Final = (
    *(f"{side}_{part}" for side in ("pre", "post") for part in ("scale", "scaled_mean", "variance")),
    *("pre_sum", "dead", "saturated", "distinct_units", "effective_rank"),
)


def measure(
    networks: Stack,
    layout: Layout,
    batch: Batch,
    *,
    vectorized: bool,
    loss: Loss | None = None,
    cotangent: Tensor | None = None,
    workers: int = 1,
) -> dict[str, Tensor]:
    """Send a batch forth and its gradient back through every member; networks and random state stay as they were.

    Dropout is off, norms normalize by the batch.

    Args:
        networks: Members at any moment of their training.
        layout: The layers of the networks' template, for this batch, as `find_layout` returns them.
        batch: Rows to send through, the same for all members.
        vectorized: Whether `torch.func.vmap` goes through members together; else they go one after another.
        loss: From what the network returns and the targets to the sum over the rows of their losses; None: `cotangent`
            is sent back instead.
        cotangent: Gradient at the outputs' first tensor of numbers, of its shape; needed where there is no loss.
        workers: Threads that share the members, where these go one after another.

    Returns:
        For each name of `MEASURED` a tensor of shape (members, layers), float64, on the CPU; and second moment and
        correlation of the gradient at the outputs, and `LOSS` where there is one, shape (members,).

    Raises:
        UserError: the networks return no floating-point numbers.
    """
    if layout.output is None:
        raise UserError(NO_NUMBERS)

    # Before vmap, in which each member would get weights of its own.
    weights = {count: weights_of_samples(count) for count in map(responses, layout.layers)}

    def of_member(template: nn.Module, parameters: State, buffers: State) -> dict[str, Tensor]:
        network, look = (template, parameters, buffers), (layout, batch, weights)
        ways = _TOGETHER if vectorized else _ALONE
        return _measure_member(*network, *look, loss=loss, cotangent=cotangent, ways=ways)

    # Probes, what they are added to, outputs, and the gradients of all of these.
    each = 6 * sum(prod(layer.output_shape) * layer.dtype.itemsize for layer in layout.layers)
    most, members = max(1, MEMORY // max(each, 1)), networks.members
    with measuring(networks.template):
        together = ceil(members / ceil(members / most))
        values = networks.each(of_member, vectorized=vectorized, most=together, workers=1 if layout.draws else workers)
    return _columns({name: value.cpu().double() for name, value in values.items()}, len(batch))


def output_numbers(outputs: Any) -> Tensor:
    """The first tensor of numbers among what a network returns.

    Raises:
        UserError: there is no such tensor, so that there is no gradient to look at.
    """
    found = first_tensor(outputs)
    if found is None:
        raise UserError(NO_NUMBERS)
    return found


# From the output of a layer, by its place, or of the network, behind them, to what goes on, whose gradient is wanted.
_Join = Callable[[int, Tensor], Tensor]
# A function of weights that returns a scalar and what was seen.
_Forward = Callable[[State, _Join], tuple[Tensor, dict[str, Tensor]]]
# What is kept of a gradient: that of a probe by its place, that of a weight by its name.
_Reduce = Callable[[int | str, Tensor], dict[str, Tensor | Later]]


@dataclass(frozen=True)
class _Scaled:
    """Values in a range in which no square leaves that of numbers.

    Attributes:
        values: The values, divided by `scale`.
        scale: What they were divided by.
        square: Their mean square then.
        about: The same as a number, but for rounding, where it takes no time to have; else None.
    """

    values: Tensor
    scale: Tensor
    square: Tensor | Later
    about: float | None = None


@dataclass(frozen=True)
class _Ways:
    """How networks are looked at: several at once by `torch.func`, or one by itself.

    Attributes:
        differentiate: From a forward pass, the weights whose gradients are wanted, all parameters, the probes and what
            is to be kept of gradients, to that of each by its name or place, and what was seen.
        slopes: The derivative of a nonlinearity at each entry of a signal.
        scaled: Values in a range in which no square leaves that of numbers.
        variance: Of such values, given their mean.
    """

    differentiate: Callable[
        [_Forward, Collection[str], State, list[Tensor], _Reduce],
        tuple[dict[int | str, dict[str, Tensor | Later]], dict[str, Tensor]],
    ]
    slopes: Callable[[nn.Module, Tensor], Tensor]
    scaled: Callable[[Tensor], _Scaled]
    variance: Callable[[_Scaled, Tensor], Tensor | Later]


def _measure_member(
    template: nn.Module,
    parameters: State,
    buffers: State,
    layout: Layout,
    batch: Batch,
    weights_of_samples: Mapping[int, Tensor],
    *,
    loss: Loss | None,
    cotangent: Tensor | None,
    ways: _Ways,
) -> dict[str, Tensor]:
    """The same of one member: each value has shape (layers,)."""
    device = next(iter(parameters.values())).device
    assert layout.output is not None  # the caller has seen to it
    layers = layout.layers
    places = [(layer.output_shape, layer.dtype) for layer in layers] + [(layout.output.shape, layout.output.dtype)]
    # Zeros to add, whose gradients are those of what they are added to; one in memory for each.
    probes = [torch.zeros((), dtype=dtype, device=device).expand(shape) for shape, dtype in places]

    def forward(weights: State, join: _Join) -> tuple[Tensor, dict[str, Tensor]]:
        watcher = _Watcher(layout, join, ways, weights_of_samples)
        state = {**weights, **{name: value.clone() for name, value in buffers.items()}}  # running statistics move
        with looking(template, layout, watcher.look):
            outputs = batch.through(lambda *args, **kwargs: call_with(template, state, *args, **kwargs))
        outputs, first = _joined(outputs, partial(join, len(layers)))
        if loss is not None:
            value = _loss_of(loss, outputs, batch.targets)
            return value, {**watcher.stacked(), LOSS: value.detach()}
        assert cotangent is not None
        return (first * cotangent.to(first.dtype)).sum(), watcher.stacked()

    def keep(of: int | str, gradient: Tensor) -> dict[str, Tensor | Later]:
        if isinstance(of, str):
            return _of_weight_gradient(gradient, ways)
        if of == len(layers):
            return _of_rows(OUTPUT_GRADIENT, gradient, ways)
        return _of_rows("gradient", layers[of].rows_first(gradient), ways)

    weights = {layer.weight: parameters[layer.weight] for layer in layers if layer.weight is not None}
    kept, found = ways.differentiate(forward, weights, parameters, probes, keep)
    unknown = dict.fromkeys(OF_WEIGHTS, torch.full((), torch.nan, device=device))
    sizes = {
        name: torch.linalg.vector_norm(weight, dtype=_at_least_single(weight.dtype)) for name, weight in weights.items()
    }
    backward = [
        {
            **kept[place],
            **(unknown if layer.weight is None else {"weight_norm": sizes[layer.weight]} | kept[layer.weight]),
        }
        for place, layer in enumerate(layers)
    ]
    at_output = {name: stack([number]).squeeze(0) for name, number in kept[len(layers)].items()}
    return {**found, **at_output, **{name: stack([row[name] for row in backward]) for name in backward[0]}}


def _by_functions(
    forward: _Forward, weights: Collection[str], parameters: State, probes: list[Tensor], keep: _Reduce
) -> tuple[dict[int | str, dict[str, Tensor | Later]], dict[str, Tensor]]:
    """Gradients by `torch.func`, which goes through several members at once."""

    def probed(state: State, added: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return forward(state, lambda place, output: output + added[place])

    (by_weights, by_probes), (_, found) = grad_and_value(probed, argnums=(0, 1), has_aux=True)(dict(parameters), probes)
    gradients: dict[int | str, Tensor] = {**dict(enumerate(by_probes)), **{name: by_weights[name] for name in weights}}
    return {of: keep(of, gradient) for of, gradient in gradients.items()}, found


def _by_graph(
    forward: _Forward, weights: Collection[str], parameters: State, probes: list[Tensor], keep: _Reduce
) -> tuple[dict[int | str, dict[str, Tensor | Later]], dict[str, Tensor]]:
    """Gradients by autograd, which knows the functions that `torch.func` does not, such as libraries' own.

    Each is looked at when it has come, while it is in the cache of the processor, and let go.
    """
    state = {name: value.detach() for name, value in parameters.items()}
    leaves = [state[name].requires_grad_() for name in weights if state[name].is_floating_point()]
    kept: dict[int | str, dict[str, Tensor | Later]] = {}

    def taking(of: int | str) -> Callable[[Tensor], None]:
        def take(gradient: Tensor) -> None:
            with torch.no_grad():
                kept[of] = keep(of, gradient)

        return take

    def join(place: int, output: Tensor) -> Tensor:
        if not output.requires_grad:  # it depends on no weight, and no gradient would come back to it
            leaves.append(probes[place].requires_grad_())
            output = output + probes[place]
        if output.requires_grad:
            output.register_hook(taking(place))
        return output

    def let_go(leaf: Tensor) -> None:
        leaf.grad = None

    with torch.enable_grad():
        scalar, found = forward(state, join)
        for name in weights:
            if state[name].requires_grad:
                state[name].register_hook(taking(name))
        for leaf in leaves:
            leaf.register_post_accumulate_grad_hook(let_go)
        torch.autograd.backward(scalar, inputs=leaves)
    for of in (*range(len(probes)), *weights):
        if of not in kept:  # nothing depends on it
            kept[of] = keep(of, torch.zeros_like(probes[of] if isinstance(of, int) else parameters[of]))
    return kept, found


def _loss_of(loss: Loss, outputs: Any, targets: Any) -> Tensor:
    """The user's loss of what the network returns.

    Raises:
        UserError: it takes no such outputs, or returns no scalar.
    """
    try:
        value = loss(outputs, targets)
    except Exception as error:  # whatever the user's function says
        raise UserError(
            f"loss: fails on the {type(outputs).__name__} that the network returns: {first_line(error)}"
        ) from error
    if not isinstance(value, Tensor) or value.dim():
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(f"loss: expected a scalar tensor, the mean over the rows; got {got}")
    return value


def _joined(outputs: Any, join: Callable[[Tensor], Tensor]) -> tuple[Any, Tensor]:
    """What a network returned with another for its first tensor of numbers; and that tensor."""
    leaves, structure = tree_flatten(outputs)
    place = next((at for at, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.is_floating_point()), None)
    if place is None:
        raise UserError(NO_NUMBERS)
    first = leaves[place] = join(leaves[place])
    return tree_unflatten(leaves, structure), first


def _slopes(module: nn.Module, signal: Tensor) -> Tensor:
    """The derivative of a nonlinearity at each entry of a signal, by `torch.func`."""
    _, pull_back = vjp(lambda z: module.forward(z.clone()), signal)  # type: ignore[misc]
    slopes: Tensor = pull_back(torch.ones_like(signal))[0]
    return slopes


def _slopes_by_graph(module: nn.Module, signal: Tensor) -> Tensor:
    """The same by autograd."""
    with torch.enable_grad():
        points = signal.detach().requires_grad_()
        slopes: Tensor = torch.autograd.grad(module.forward(points.clone()).sum(), points)[0]
    return slopes


class _Watcher:
    """Takes the numbers of each site as the signal passes, so that no tensor has to be kept."""

    def __init__(
        self,
        layout: Layout,
        join: _Join,
        ways: _Ways,
        weights_of_samples: Mapping[int, Tensor],
    ) -> None:
        self._output = {layer.output: place for place, layer in enumerate(layout.layers)}
        self._before = {layer.before: (place, layer) for place, layer in enumerate(layout.layers)}
        self._after = {layer.after: (place, layer) for place, layer in enumerate(layout.layers) if layer.after}
        self._join, self._ways, self._weights = join, ways, weights_of_samples
        self._rows: list[dict[str, Tensor | Later]] = [{} for _ in layout.layers]
        self._samples: list[Sample] = []

    def look(self, site: Site, module: nn.Module, signal: Tensor) -> Tensor:
        """Measure the signal at a site; ask for the gradient of a layer's own output.

        Args:
            site: Input or output of which call of the module.
            module: The module that it enters or leaves there.
            signal: The signal of all rows, shape (rows, …).

        Returns:
            The signal that goes on.
        """
        if site in self._after:
            place, layer = self._after[site]
            self._rows[place] |= _of_output(layer, layer.rows_first(signal.detach()), self._ways)
        if site in self._before:
            place, layer = self._before[site]
            rows = layer.rows_first(signal.detach())
            scaled = self._ways.scaled(_units_last(layer, rows))
            self._rows[place] |= _of_preactivation(scaled, self._ways)
            some = rows[:MOST_ROWS].clone()  # the rest is not kept
            same = scaled.values is rows
            self._samples.append(
                Sample(place, layer, module, some, some if same else scaled.values[:MOST_ROWS].clone())
            )
        return self._join(self._output[site], signal) if site in self._output else signal

    def stacked(self) -> dict[str, Tensor]:
        """Each value as a tensor of shape (layers,); NaN where there is none, as behind the last layer."""
        for place, found in of_samples(self._samples, self._weights, self._ways.slopes):
            self._rows[place] |= found
        device = next(number.device for number in self._rows[0].values() if isinstance(number, Tensor))
        missing = torch.full((), torch.nan, device=device)
        return {name: stack([row.get(name, missing) for row in self._rows]) for name in SEEN}


def _of_preactivation(scaled: _Scaled, ways: _Ways) -> dict[str, Tensor | Later]:
    return {**_moments("pre", scaled, ways), "pre_sum": _squares_of_sums(scaled.values.flatten(1))}


def _of_output(layer: Layer, signal: Tensor, ways: _Ways) -> dict[str, Tensor | Later]:
    scaled = ways.scaled(_units_last(layer, signal))
    beside = tuple(range(signal.dim() - 1))
    dead = Later(_share_of_dead, (scaled.values.amax(beside), scaled.values.amin(beside)))
    return {**_moments("post", scaled, ways), "dead": dead}


def _of_weight_gradient(gradient: Tensor, ways: _Ways) -> dict[str, Tensor | Later]:
    scaled, count = ways.scaled(gradient), gradient.numel()
    square = scaled.square
    total = replace(square, by=(*square.by, count)) if isinstance(square, Later) else square * count
    return {"weight_gradient_scale": scaled.scale, "weight_gradient_square": total}


def _of_rows(name: str, gradient: Tensor, ways: _Ways) -> dict[str, Tensor | Later]:
    scaled = ways.scaled(gradient.flatten(1) if gradient.dim() > 1 else gradient.unsqueeze(-1))
    sums = _squares_of_sums(scaled.values)
    return {f"{name}_scale": scaled.scale, f"{name}_square": scaled.square, f"{name}_sum": sums}


def _moments(side: str, scaled: _Scaled, ways: _Ways) -> dict[str, Tensor | Later]:
    mean = scaled.values.mean()
    variance = ways.variance(scaled, mean)
    return {f"{side}_scale": scaled.scale, f"{side}_scaled_mean": mean, f"{side}_variance": variance}


def _columns(raw: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    """What `measure` returns, from what was summed up, in float64: squares may leave the range of float32.

    Args:
        raw: Each of shape (members, layers), but for those of the output's gradient, of shape (members,).
        rows: Number of rows of the batch, at least 1.
    """
    found = {name: raw[name] for name in (*MEASURED, LOSS) if name in raw}
    for side in ("pre", "post"):
        scale = raw[f"{side}_scale"]
        mean, std = scale * raw[f"{side}_scaled_mean"], scale * raw[f"{side}_variance"].sqrt()
        found |= {f"{side}_mean": mean, f"{side}_std": std, f"{side}_second_moment": mean.square() + std.square()}
    square = raw["pre_variance"] + raw["pre_scaled_mean"].square()
    found["correlation"] = _correlation(raw["pre_sum"], square, rows)
    for name in ("gradient", OUTPUT_GRADIENT):
        found[f"{name}_second_moment"] = raw[f"{name}_square"] * raw[f"{name}_scale"].square()
        found[f"{name}_correlation"] = _correlation(raw[f"{name}_sum"], raw[f"{name}_square"], rows)
    # Of the mean loss.
    found["weight_gradient_norm"] = raw["weight_gradient_scale"] * raw["weight_gradient_square"].sqrt() / rows
    return found


def _correlation(squared_sum: Tensor, square: Tensor, rows: int) -> Tensor:
    """Mean product of different rows over their mean square; NaN for a single row, or for zeros.

    Args:
        squared_sum: Sum over rows, squared, and its mean over entries.
        square: Square, and its mean over entries and rows.
        rows: How many rows the sums are over.
    """
    if rows == 1:
        return torch.full_like(square, torch.nan)
    return (squared_sum - rows * square) / (rows * (rows - 1) * square)


def _units_last(layer: Layer, signal: Tensor) -> Tensor:
    """The signal as (rows, …, units)."""
    return signal.movedim(1, -1) if layer.channels_first and signal.dim() > 2 else signal


def _scaled(values: Tensor) -> _Scaled:
    """Values divided by their largest."""
    values = values.to(_at_least_single(values.dtype))
    largest = values.abs().amax()
    values = values / largest.clamp_min(torch.finfo(values.dtype).tiny)
    return _Scaled(values, largest, values.square().mean())


def _scaled_where_needed(values: Tensor) -> _Scaled:
    """The same, but that values of an ordinary size stay as they are: on a CPU it costs little to ask."""
    if values.device.type != "cpu" or not values.numel():
        return _scaled(values)
    values = values.to(_at_least_single(values.dtype))
    square, about = _mean_square(values)
    if ORDINARY[0] < about < ORDINARY[1]:
        return _Scaled(values, values.new_ones(()), square, about)
    scaled = _scaled(values)
    assert isinstance(scaled.square, Tensor)
    return replace(scaled, about=float(scaled.square))


def _mean_square(values: Tensor) -> tuple[Tensor | Later, float]:
    """The mean square, row by row where rows are short enough that their squares can be added up one after another.

    Returns:
        The mean square, and about how much it is.
    """
    rows = values.flatten(1) if values.dim() > 1 else values.unsqueeze(0)
    entries = rows.shape[1]
    if entries > SHORT:
        square = rows.square().mean()
        return square, float(square)
    sizes: Tensor = torch.linalg.vector_norm(rows, dim=1)
    later = Later(_mean_of_squares, (sizes,), (entries,))
    if len(sizes) > LONGEST:
        square = later.now()
        return square, float(square)
    return later, float(torch.dot(sizes, sizes)) / values.numel()


def _variance(scaled: _Scaled, mean: Tensor) -> Tensor:
    return (scaled.values - mean).square().mean()


def _variance_where_safe(scaled: _Scaled, mean: Tensor) -> Tensor | Later:
    """The same without another pass, where the mean is so small that the difference loses no digits."""
    if scaled.about is None or not scaled.about - float(mean) ** 2 > 0.5 * scaled.about:
        return _variance(scaled, mean)
    square = scaled.square
    return Later(_less_square, (*square.of, mean), square.by) if isinstance(square, Later) else square - mean.square()


def _squares_of_sums(rows: Tensor) -> Tensor | Later:
    """The sum over rows, squared, and its mean over entries."""
    sums = rows.sum(0)
    return Later(_mean_of_squares, (sums,)) if sums.dim() and len(sums) <= LONGEST else sums.square().mean()


def _mean_of_squares(sizes: Tensor, entries: int = 1, count: int = 1) -> Tensor:
    """The mean square of numbers, given the sizes of the rows that they stand in, shape (layers, rows).

    Args:
        sizes: Roots of the sums of squares.
        entries: How many numbers a row has.
        count: What the mean is to be multiplied by.
    """
    return sizes.square().mean(1) / entries * count


def _less_square(sizes: Tensor, means: Tensor, entries: int) -> Tensor:
    return _mean_of_squares(sizes, entries) - means.square()


def _share_of_dead(highest: Tensor, lowest: Tensor) -> Tensor:
    """The share of units that are 0 for all inputs, given the extremes of each, shape (layers, units)."""
    largest = torch.maximum(highest, -lowest)
    return known((largest == 0).sum(1) / largest.shape[1], largest)


_TOGETHER: Final = _Ways(_by_functions, _slopes, _scaled, _variance)
_ALONE: Final = _Ways(_by_graph, _slopes_by_graph, _scaled_where_needed, _variance_where_safe)


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
