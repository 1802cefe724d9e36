"""What a batch and its gradient look like in every layer, for many networks of one structure at once."""

from collections.abc import Callable, Mapping
from functools import reduce
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
from initlab.propagation.layers import Layer, Layout, Site, looking

Loss = Callable[[Any, Any], Tensor]

MEMORY: Final = 2**30  # bytes of one vectorized pass, about
MOST_ROWS: Final = 64  # of the batch, that rank and distinct units are found from
DISTINCT: Final = 1e-6  # relative difference from which on two units count as two

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
    weights = {count: _weights_of_samples(count) for count in map(_samples, layout.layers)}

    def of_member(template: nn.Module, parameters: State, buffers: State) -> dict[str, Tensor]:
        differentiate = _by_functions if vectorized else _by_graph
        network = template, parameters, buffers
        look = layout, batch, weights
        return _measure_member(*network, *look, loss=loss, cotangent=cotangent, differentiate=differentiate)

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


# A function of weights and probes that returns a scalar and what was seen; its gradients by both, and what was seen.
_Forward = Callable[[State, list[Tensor]], tuple[Tensor, dict[str, Tensor]]]
_Differentiate = Callable[[_Forward, State, list[Tensor]], tuple[State, list[Tensor], dict[str, Tensor]]]


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
    differentiate: _Differentiate,
) -> dict[str, Tensor]:
    """The same of one member: each value has shape (layers,)."""
    device = next(iter(parameters.values())).device
    assert layout.output is not None  # the caller has seen to it
    places = [(layer.output_shape, layer.dtype) for layer in layout.layers] + [
        (layout.output.shape, layout.output.dtype)
    ]
    # One zero in memory for each.
    probes = [torch.zeros((), dtype=dtype, device=device).expand(shape) for shape, dtype in places]

    def forward(weights: State, added: list[Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        slopes = _slopes_by_graph if differentiate is _by_graph else _slopes
        watcher = _Watcher(layout, added, slopes, weights_of_samples)
        state = {**weights, **{name: value.clone() for name, value in buffers.items()}}  # running statistics move
        with looking(template, layout, watcher.look):
            outputs = batch.through(lambda *args, **kwargs: call_with(template, state, *args, **kwargs))
        outputs, first = _with_probe(outputs, added[-1])
        if loss is not None:
            value = _loss_of(loss, outputs, batch.targets)
            return value, {**watcher.stacked(), LOSS: value.detach()}
        assert cotangent is not None
        return (first * cotangent.to(first.dtype)).sum(), watcher.stacked()

    weight_gradients, (*gradients, at_output), found = differentiate(forward, parameters, probes)
    backward = [
        _of_gradient(layer.rows_first(gradient), layer.weight, parameters, weight_gradients)
        for layer, gradient in zip(layout.layers, gradients, strict=True)
    ]
    seen = _of_rows(OUTPUT_GRADIENT, at_output)
    return {**found, **seen, **{name: _stack([row[name] for row in backward]) for name in backward[0]}}


def _by_functions(
    forward: _Forward, parameters: State, probes: list[Tensor]
) -> tuple[State, list[Tensor], dict[str, Tensor]]:
    """Gradients by `torch.func`, which goes through several members at once."""
    (weight_gradients, gradients), (_, found) = grad_and_value(forward, argnums=(0, 1), has_aux=True)(
        dict(parameters), probes
    )
    return weight_gradients, gradients, found


def _by_graph(
    forward: _Forward, parameters: State, probes: list[Tensor]
) -> tuple[State, list[Tensor], dict[str, Tensor]]:
    """Gradients by autograd, which knows the functions that `torch.func` does not, such as libraries' own."""
    weights = {name: value.detach() for name, value in parameters.items()}
    inner = {name: value.requires_grad_() for name, value in weights.items() if value.is_floating_point()}
    added = [probe.requires_grad_() for probe in probes]
    with torch.enable_grad():
        scalar, found = forward(weights, added)
        gradients = torch.autograd.grad(scalar, [*inner.values(), *added], allow_unused=True, materialize_grads=True)
    return dict(zip(inner, gradients, strict=False)), list(gradients[len(inner) :]), found


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


def _with_probe(outputs: Any, probe: Tensor) -> tuple[Any, Tensor]:
    """What a network returned with a zero added to its first tensor of numbers; and that tensor."""
    leaves, structure = tree_flatten(outputs)
    place = next((at for at, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.is_floating_point()), None)
    if place is None:
        raise UserError(NO_NUMBERS)
    first = leaves[place] = leaves[place] + probe
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
        probes: list[Tensor],
        slopes: Callable[[nn.Module, Tensor], Tensor],
        weights_of_samples: Mapping[int, Tensor],
    ) -> None:
        self._output = {layer.output: place for place, layer in enumerate(layout.layers)}
        self._before = {layer.before: (place, layer) for place, layer in enumerate(layout.layers)}
        self._after = {layer.after: (place, layer) for place, layer in enumerate(layout.layers) if layer.after}
        self._probes, self._slopes, self._weights = probes, slopes, weights_of_samples
        self._rows: list[dict[str, Tensor]] = [{} for _ in layout.layers]

    def look(self, site: Site, module: nn.Module, signal: Tensor) -> Tensor:
        """Measure the signal at a site; to a layer's own output add a zero, whose gradient is that of the output.

        Args:
            site: Input or output of which call of the module.
            module: The module that it enters or leaves there.
            signal: The signal of all rows, shape (rows, …).

        Returns:
            The signal that goes on.
        """
        if site in self._after:
            place, layer = self._after[site]
            self._rows[place] |= _of_output(layer, layer.rows_first(signal.detach()))
        if site in self._before:
            place, layer = self._before[site]
            rows, weights = layer.rows_first(signal.detach()), self._weights[_samples(layer)]
            self._rows[place] |= _of_preactivation(layer, module, rows, self._slopes, weights)
        return signal + self._probes[self._output[site]] if site in self._output else signal

    def stacked(self) -> dict[str, Tensor]:
        """Each value as a tensor of shape (layers,); NaN where there is none, as behind the last layer."""
        missing = torch.full((), torch.nan, device=self._probes[0].device)
        return {name: _stack([row.get(name, missing) for row in self._rows]) for name in SEEN}


def _of_preactivation(
    layer: Layer,
    module: nn.Module,
    signal: Tensor,
    slopes_of: Callable[[nn.Module, Tensor], Tensor],
    weights_of_samples: Tensor,
) -> dict[str, Tensor]:
    values, scale = _scaled(_units_last(layer, signal))
    some = values[:MOST_ROWS]
    found = {
        **_moments("pre", values, scale),
        "pre_sum": values.flatten(1).sum(0).square().mean(),
        "distinct_units": _distinct_units(some.flatten(0, -2), weights_of_samples),
        "effective_rank": _effective_rank(some.flatten(1)),
    }
    if layer.saturates_below is not None:
        slopes = slopes_of(module, signal[:MOST_ROWS])
        flat = (slopes.abs() < layer.saturates_below).sum() / slopes.numel()
        found["saturated"] = _known(flat, slopes)
    return found


def _of_output(layer: Layer, signal: Tensor) -> dict[str, Tensor]:
    values, scale = _scaled(_units_last(layer, signal))
    largest = values.flatten(0, -2).abs().amax(0)  # of each unit
    dead = (largest == 0).sum() / len(largest)
    return {**_moments("post", values, scale), "dead": _known(dead, largest)}


def _known(share: Tensor, values: Tensor) -> Tensor:
    """A share among some values; NaN where one of them is not finite, as it says nothing then."""
    return torch.where(values.isfinite().all(), share, torch.nan)


def _of_gradient(gradient: Tensor, name: str | None, parameters: State, weight_gradients: State) -> dict[str, Tensor]:
    """Of a gradient at a layer's output, and of the weight of that name and its gradient; NaN where there is none."""
    if name is None:
        nothing = torch.full((), torch.nan, device=gradient.device)
        unknown = dict.fromkeys(("weight_norm", "weight_gradient_scale", "weight_gradient_square"), nothing)
        return {**_of_rows("gradient", gradient), **unknown}
    weight, (weight_entries, weight_scale) = parameters[name], _scaled(weight_gradients[name])
    return {
        **_of_rows("gradient", gradient),
        "weight_norm": weight.norm(dtype=_at_least_single(weight.dtype)),
        "weight_gradient_scale": weight_scale,
        "weight_gradient_square": weight_entries.square().sum(),
    }


def _of_rows(name: str, gradient: Tensor) -> dict[str, Tensor]:
    rows, scale = _scaled(gradient.flatten(1) if gradient.dim() > 1 else gradient.unsqueeze(-1))
    return {
        f"{name}_scale": scale,
        f"{name}_square": rows.square().mean(),
        f"{name}_sum": rows.sum(0).square().mean(),
    }


def _moments(side: str, values: Tensor, scale: Tensor) -> dict[str, Tensor]:
    mean = values.mean()
    return {f"{side}_scale": scale, f"{side}_scaled_mean": mean, f"{side}_variance": (values - mean).square().mean()}


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


def _stack(scalars: list[Tensor]) -> Tensor:
    common = reduce(torch.promote_types, (scalar.dtype for scalar in scalars))
    return torch.stack([scalar.to(common) for scalar in scalars])


def _units_last(layer: Layer, signal: Tensor) -> Tensor:
    """The signal as (rows, …, units)."""
    return signal.movedim(1, -1) if layer.channels_first and signal.dim() > 2 else signal


def _scaled(values: Tensor) -> tuple[Tensor, Tensor]:
    """Values divided by their largest, so that no square leaves the range of numbers; and that."""
    values = values.to(_at_least_single(values.dtype))
    largest = values.abs().amax()
    return values / largest.clamp_min(torch.finfo(values.dtype).tiny), largest


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _samples(layer: Layer) -> int:
    """How many responses of each unit the distinct units are found from."""
    return min(MOST_ROWS, layer.shape[0]) * prod(layer.shape[1:]) // max(layer.units, 1)


def _weights_of_samples(count: int) -> Tensor:
    """Fixed random weights, by which the responses of a unit are added up to one number."""
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randn(count, generator=generator, dtype=torch.float64, device="cpu")


def _distinct_units(samples: Tensor, weights: Tensor) -> Tensor:
    """How many units respond differently, given samples of shape (samples, units).

    Each unit's responses are projected to one number by the weights, shape (samples,): equal units give equal numbers.
    """
    values = (weights.to(samples.device) @ samples.double()).sort().values
    return 1 + (values.diff() > DISTINCT * values.abs().amax()).sum()


def _effective_rank(rows: Tensor) -> Tensor:
    """(Σλ)²/Σλ² for the eigenvalues λ of the rows' products: 1 if all rows are multiples of one."""
    products = rows @ rows.mT
    return products.diagonal().sum().square() / products.square().sum()
