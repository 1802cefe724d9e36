"""What is found from a few rows of each layer's pre-activation: distinct units, rank and saturation.

Layers of equal shape go through the operations together, as each of these takes longer to call than to compute.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import torch
from torch import Tensor, nn

from initlab.propagation.layers import Layer

MOST_ROWS: Final = 64  # of the batch
DISTINCT: Final = 1e-6  # relative difference from which on two units count as two
TOGETHER: Final = 2**18  # numbers that go through an operation together: they stay in the cache of a processor


@dataclass(frozen=True)
class Sample:
    """A few rows of a layer's pre-activation.

    Attributes:
        place: The layer's place among those of its network.
        layer: The layer.
        module: The nonlinearity that follows, if one does.
        signal: As they are, shape (rows, …).
        values: The same, possibly scaled, shape (rows, …, units).
    """

    place: int
    layer: Layer
    module: nn.Module
    signal: Tensor
    values: Tensor


def of_samples(
    samples: Sequence[Sample],
    weights: Mapping[int, Tensor],
    slopes: Callable[[nn.Module, Tensor], Tensor],
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """What is found of each layer, by its place.

    Args:
        samples: One a layer.
        weights: As `weights_of_samples` returns them, by their count.
        slopes: The derivative of a nonlinearity at each entry of a signal.
    """
    for some in _alike(samples, lambda sample: (sample.values.shape, sample.values.dtype)):
        values = torch.stack([sample.values for sample in some])
        units = distinct_units(values.flatten(1, -2), weights[responses(some[0].layer)])
        ranks = _effective_rank(values.flatten(2))
        for sample, unit, rank in zip(some, units, ranks, strict=True):
            yield sample.place, {"distinct_units": unit, "effective_rank": rank}
    bending = [sample for sample in samples if sample.layer.saturates_below is not None]
    for some in _alike(bending, _nonlinearity):
        one = some[0]
        # A nonlinearity of several modules may tell rows from units, and gets the signal as it is.
        signal = one.signal if len(some) == 1 else torch.stack([sample.signal for sample in some])
        steepness = slopes(one.module, signal).abs().view(len(some), -1)
        assert one.layer.saturates_below is not None
        shares = (steepness < one.layer.saturates_below).sum(1) / steepness.shape[1]
        for sample, share in zip(some, known(shares, steepness), strict=True):
            yield sample.place, {"saturated": share}


def _nonlinearity(sample: Sample) -> Hashable:
    """What is equal for layers whose signals can go through one nonlinearity together."""
    bend = sample.layer.bend
    same: Hashable = sample.place if bend is None else (bend.name, *sorted(bend.parameters.items()))
    return same, sample.layer.saturates_below, sample.signal.shape, sample.signal.dtype


def _alike(samples: Sequence[Sample], key: Callable[[Sample], Hashable]) -> Iterator[list[Sample]]:
    """Samples with equal keys together, but no more than stay in the cache."""
    groups: dict[Hashable, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    for group in groups.values():
        most = max(1, TOGETHER // max(group[0].values.numel(), 1))
        yield from (group[first : first + most] for first in range(0, len(group), most))


def known(shares: Tensor, sizes: Tensor) -> Tensor:
    """Shares among some values, given their absolute values in the last dimension; NaN where one is not finite."""
    return torch.where(sizes.amax(-1).isfinite(), shares, torch.nan)


def responses(layer: Layer) -> int:
    """How many responses of each unit the distinct units are found from."""
    return min(MOST_ROWS, layer.shape[0]) * prod(layer.shape[1:]) // max(layer.units, 1)


def weights_of_samples(count: int) -> Tensor:
    """Fixed random weights, by which the responses of a unit are added up to one number."""
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randn(count, generator=generator, dtype=torch.float64, device="cpu")


def distinct_units(samples: Tensor, weights: Tensor) -> Tensor:
    """How many units respond differently, given samples of shape (…, samples, units).

    Each unit's responses are projected to one number by the weights, shape (samples,): equal units give equal numbers.
    """
    values = (weights.to(samples.device) @ samples.double()).sort().values
    return 1 + (values.diff() > DISTINCT * values.abs().amax(-1, keepdim=True)).sum(-1)


def _effective_rank(rows: Tensor) -> Tensor:
    """(Σλ)²/Σλ² for the eigenvalues λ of the products of rows, shape (…, rows, entries): 1 if they are parallel."""
    products = rows @ rows.mT
    return products.diagonal(dim1=-2, dim2=-1).sum(-1).square() / products.square().sum((-2, -1))
