"""What mean-field theory says of a concrete network: its maps, layer by layer, along the graph of its operations.

A pre-activation is taken as normal, with the same law in every unit, as it is in the limit of wide layers of
independent weights; what follows from that alone is predicted, anything else is not, with the reason. The graph comes
from `torch.fx`. What an operation does to

- q, the second moment of a signal over units, and r, the mean product of different inputs: a linear layer gives
  σ_w² q + σ_b² and σ_w² r + σ_b², σ_w² being fan_in times the mean square of its weights; an activation E[φ(u)²] and
  E[φ(u₁)φ(u₂)]; a sum of branches with weights of their own the sums; batch norm, after a linear layer, 1 and
  (r - r̄)/(q - r̄), r̄ the mean over all pairs of its batch; layer norm 1 and r/q;
- g, the second moment of the gradient, and h, the mean product of the gradients of different inputs, on the way back: a
  linear layer multiplies both by (fan_out)·(mean square of its weights); an activation g by E[φ'(u)²], h by
  E[φ'(u₁)φ'(u₂)]; batch norm gives (g - h)/(q - r̄), but for terms of 1/batch, and an h of -g/(batch - 1); layer norm
  divides by q.

Sources: Schoenholz et al. 2017, arXiv:1611.01232; Yang & Schoenholz 2017, arXiv:1712.08969 (residual); Yang et al.
2019, arXiv:1902.08129 (batch norm); Xiao et al. 2018, arXiv:1806.05393 (convolutions).
"""

import math
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.dropout import _DropoutNd

from initlab.activations import Activation, activation_of
from initlab.errors import first_line
from initlab.signal.layers import Site
from initlab.signal.moments import cross_moments, derivative_cross_moments, derivative_moments, second_moments
from initlab.signal.prediction import Prediction, WeightLaw

GROUPS: Final = 4  # of inputs of similar size, each with its own q
FUNCTIONS: Final[Mapping[Callable[..., Any], str]] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.tanh: "tanh",
    F.tanh: "tanh",
    torch.sigmoid: "sigmoid",
    F.sigmoid: "sigmoid",
    F.gelu: "gelu",
    F.silu: "silu",
    F.mish: "mish",
    F.elu: "elu",
    F.selu: "selu",
    F.softplus: "softplus",
    F.leaky_relu: "leaky_relu",
}
METHODS: Final = ("relu", "tanh", "sigmoid")
COPIES: Final = ("contiguous", "clone", "float", "double")


@dataclass(frozen=True)
class _Signal:
    """At one place: q for groups of inputs of similar size, shape (groups,); r; and whether the signal is normal."""

    q: Tensor
    r: float
    normal: bool

    @property
    def correlation(self) -> float:
        mean = float(self.q.mean())
        return min(max(self.r / mean, -1.0), 1.0) if mean > 0 else math.nan


@dataclass(frozen=True)
class _Gradient:
    g: float
    h: float


class _UnknownError(Exception):
    """There is no closed form for this."""


def predict(
    model: nn.Module,
    laws: Mapping[str, WeightLaw],
    inputs: Tensor,
    *,
    gradient: tuple[float, float],
    plain_norms: Collection[str],
) -> Prediction:
    """Follow signal and gradient through a network, as far as theory goes.

    Args:
        model: Its structure; its own weights are not used.
        laws: By the name of the layer.
        inputs: The batch, rows first.
        gradient: Second moment and mean product over pairs of rows of the gradient at the output.
        plain_norms: Names of norm layers that scale by 1 and shift by 0, if at all.
    """
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever a model does that cannot be traced
        reason = f"the network's operations cannot be followed: {first_line(error)}"
        return Prediction(unpredicted=reason)
    return _Walk(model, graph, laws, plain_norms, inputs).run(_signal_of(inputs), _Gradient(*gradient))


class _Tracer(fx.Tracer):
    """Follows a network down to torch's own layers and to registered activations."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return activation_of(m) is not None or super().is_leaf_module(m, module_qualified_name)


def _signal_of(inputs: Tensor) -> _Signal:
    rows = inputs.detach().double().cpu().flatten(1)
    squares = rows.square().mean(1).sort().values
    groups = torch.stack([part.mean() for part in squares.tensor_split(min(GROUPS, len(rows)))])
    count = len(rows)
    together = float(rows.sum(0).square().mean() - rows.square().mean(1).sum())
    return _Signal(groups, together / (count * (count - 1)) if count > 1 else float(groups.mean()), normal=False)


class _Walk:
    """One pass forth and one back over the graph."""

    def __init__(
        self,
        model: nn.Module,
        graph: fx.Graph,
        laws: Mapping[str, WeightLaw],
        plain_norms: Collection[str],
        inputs: Tensor,
    ) -> None:
        self._modules = dict(model.named_modules())
        self._nodes, self._laws, self._plain_norms = list(graph.nodes), laws, plain_norms
        self._rows, self._sequences = len(inputs), inputs.dim() == 3
        self._signals: dict[fx.Node, _Signal] = {}
        self._reasons: dict[fx.Node, str] = {}
        self._gradients: dict[fx.Node, _Gradient] = {}
        self._no_gradient: set[fx.Node] = set()
        self._crossing = any(isinstance(module, nn.BatchNorm1d) for module in self._modules.values())

    def run(self, signal: _Signal, gradient: _Gradient) -> Prediction:
        calls: dict[str, int] = {}
        sites: dict[Site, fx.Node] = {}
        for node in self._nodes:
            self._forward(node, signal)
            if node.op == "call_module":
                name = str(node.target)
                calls[name] = calls.get(name, 0) + 1
                sites[Site(name, calls[name], "output")] = node
                if node.args and isinstance(node.args[0], fx.Node):
                    sites[Site(name, calls[name], "input")] = node.args[0]
        for node in reversed(self._nodes):
            self._backward(node, gradient)
        known = {site: self._signals[node] for site, node in sites.items() if node in self._signals}
        return Prediction(
            {site: float(found.q.mean()) for site, found in known.items()},
            {site: found.correlation for site, found in known.items()},
            {
                site: self._gradients[node].g
                for site, node in sites.items()
                if node in self._gradients and node not in self._no_gradient
            },
            {site: self._reasons[node] for site, node in sites.items() if node in self._reasons},
            gain=self._gain(gradient),
        )

    def _gain(self, end: _Gradient) -> float | None:
        start = self._nodes[0]
        known = start in self._gradients and start not in self._no_gradient
        return self._gradients[start].g / end.g if known and end.g else None

    def _forward(self, node: fx.Node, start: _Signal) -> None:
        try:
            if node.op == "placeholder":
                self._signals[node] = start
            elif node.op not in ("get_attr", "output"):
                for source in node.all_input_nodes:
                    if source in self._reasons:
                        raise _UnknownError(self._reasons[source])
                self._signals[node] = self._after(node)
        except _UnknownError as unknown:
            self._reasons[node] = str(unknown)

    def _after(self, node: fx.Node) -> _Signal:
        """What an operation gives."""
        activation = self._activation(node)
        if self._passes(node):
            return self._source(node)
        if activation is not None:
            signal = self._normal(node)
            q = second_moments(activation, signal.q)
            mean = float(signal.q.mean())
            correlations = torch.tensor([signal.correlation if mean > 0 else 1.0], dtype=torch.float64)
            return _Signal(q, float(cross_moments(activation, mean, correlations)), normal=False)
        if _is_sum(node):
            sources = node.all_input_nodes
            parts = [self._signals[source] for source in sources]
            # A normal summand owes its randomness to a layer of its own, unless the other one is made from it.
            fresh = [p.normal and not _made_from(q, s) for s, q, p in zip(sources, sources[::-1], parts, strict=True)]
            if len(parts) != 2 or len(node.args) != 2 or node.kwargs or not any(fresh):
                raise _UnknownError("a sum of what is not independent")
            return _Signal(parts[0].q + parts[1].q, parts[0].r + parts[1].r, all(p.normal for p in parts))
        if node.op == "call_module":
            return self._after_module(str(node.target), self._modules[str(node.target)], node)
        raise _UnknownError(f"no closed form for {_name(node)}")

    def _after_module(self, name: str, module: nn.Module, node: fx.Node) -> _Signal:
        signal = self._source(node)
        if isinstance(module, nn.Linear | _ConvNd):
            weight_variance, law = self._weight_variance(name, module)
            return _Signal(
                weight_variance * signal.q + law.bias_mean_square,
                weight_variance * signal.r + law.bias_mean_square,
                normal=True,
            )
        if isinstance(module, nn.BatchNorm1d | nn.LayerNorm | nn.RMSNorm) and name not in self._plain_norms:
            raise _UnknownError(f"{name} scales or shifts what it normalizes")
        if isinstance(module, nn.BatchNorm1d) and not self._sequences:
            signal, size = self._normal(node), self._spread(signal)
            return _Signal(torch.ones_like(signal.q), -1 / max(self._rows - 1, 1), normal=True) if size else signal
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            signal = self._normal(node)
            return _Signal(torch.ones_like(signal.q), signal.correlation, normal=True)
        raise _UnknownError(f"no closed form for {type(module).__name__}")

    def _weight_variance(self, name: str, module: nn.Module) -> tuple[float, WeightLaw]:
        """σ_w² and the law of a layer's weights."""
        if name not in self._laws:
            raise _UnknownError(f"{name} shares its weights with another layer")
        law = self._laws[name]
        if not law.independent:
            raise _UnknownError(f"the weights of {name} are not drawn independently of each other")
        if isinstance(module, nn.Linear):
            return module.in_features * law.mean_square, law
        assert isinstance(module, _ConvNd)
        unpadded = not any(module.padding) if isinstance(module.padding, tuple) else module.padding == "valid"
        if isinstance(module, _ConvTransposeNd) or not (module.padding_mode == "circular" or unpadded):
            raise _UnknownError(f"{name} pads with zeros: its border is unlike the rest")
        return math.prod(module.kernel_size) * module.in_channels // module.groups * law.mean_square, law

    def _spread(self, signal: _Signal) -> float:
        """The variance over a batch: q less the mean product over all pairs of rows, each with itself included."""
        q, count = float(signal.q.mean()), self._rows
        return q - (q + (count - 1) * signal.r) / count

    def _backward(self, node: fx.Node, end: _Gradient) -> None:
        if node.op == "output":
            for source in node.all_input_nodes:
                self._send(source, end)
            return
        if node not in self._gradients or not node.all_input_nodes:
            return
        known = node not in self._no_gradient and all(source in self._signals for source in node.all_input_nodes)
        try:
            if not known:
                raise _UnknownError
            before = self._before(node, self._gradients[node])
        except _UnknownError:
            for source in node.all_input_nodes:
                self._no_gradient.add(source)
                self._send(source, _Gradient(0.0, 0.0))
            return
        for source in node.all_input_nodes:
            self._send(source, before)

    def _send(self, node: fx.Node, gradient: _Gradient) -> None:
        there = self._gradients.get(node, _Gradient(0.0, 0.0))
        self._gradients[node] = _Gradient(there.g + gradient.g, there.h + gradient.h)

    def _before(self, node: fx.Node, gradient: _Gradient) -> _Gradient:
        """What an operation makes of the gradient at its output."""
        activation = self._activation(node)
        if self._passes(node) or _is_sum(node):
            return gradient
        signal = self._source(node)
        if activation is not None:
            mean = float(signal.q.mean())
            known = torch.tensor([signal.correlation if mean > 0 else 1.0], dtype=torch.float64)
            slopes = float(derivative_moments(activation, signal.q).mean())
            # How gradients of different inputs are related matters to batch norm alone.
            crossed = float(derivative_cross_moments(activation, mean, known)) if self._crossing else 0.0
            return _Gradient(gradient.g * slopes, gradient.h * crossed)
        if node.op != "call_module":
            raise _UnknownError
        name = str(node.target)
        module = self._modules[name]
        if isinstance(module, nn.Linear | _ConvNd):
            _, law = self._weight_variance(name, module)
            wraps = not isinstance(module, _ConvNd) or module.padding_mode == "circular"
            if not wraps and math.prod(module.kernel_size) > 1:  # type: ignore[arg-type]  # of a convolution
                raise _UnknownError  # pixels at the border enter fewer products
            factor = _fan_out(module) * law.mean_square
            return _Gradient(gradient.g * factor, gradient.h * factor)
        if isinstance(module, nn.BatchNorm1d):
            size, count = self._spread(signal), self._rows
            if not size or count < 4:
                raise _UnknownError
            # The norm takes off the mean over the batch, and what goes along with the signal; the mean of 1/variance
            # is larger than one over the mean, for normal numbers by (count - 1)/(count - 3).
            g = (gradient.g - gradient.h) * (1 - 2 / count) * (count - 1) / ((count - 3) * size)
            return _Gradient(g, -g / (count - 1))
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            size = float(signal.q.mean())
            return _Gradient(gradient.g / size, gradient.h / size) if size else _Gradient(0.0, 0.0)
        raise _UnknownError

    def _source(self, node: fx.Node) -> _Signal:
        if not node.all_input_nodes or node.all_input_nodes[0] not in self._signals:
            raise _UnknownError(f"no closed form for {_name(node)}")
        return self._signals[node.all_input_nodes[0]]

    def _normal(self, node: fx.Node) -> _Signal:
        signal = self._source(node)
        if not signal.normal:
            raise _UnknownError(f"{_name(node)} acts on what is not normal")
        return signal

    def _activation(self, node: fx.Node) -> Activation | None:
        if node.op == "call_module":
            known = activation_of(self._modules[str(node.target)])
            return None if known is None or known.name == "identity" else known
        plain = not {key for key in node.kwargs if key != "inplace"} and len(node.args) == 1
        if node.op == "call_function" and plain and callable(node.target) and node.target in FUNCTIONS:
            return Activation(FUNCTIONS[node.target])
        if node.op == "call_method" and plain and node.target in METHODS:
            return Activation(str(node.target))
        return None

    def _passes(self, node: fx.Node) -> bool:
        """Whether an operation leaves every number as it is."""
        if node.op == "call_module":
            return isinstance(self._modules[str(node.target)], nn.Identity | nn.Flatten | _DropoutNd)
        name = getattr(node.target, "__name__", node.target)
        return name in COPIES or (name == "flatten" and node.args[1:] == (1,) and not node.kwargs)


def _made_from(node: fx.Node, other: fx.Node) -> bool:
    """Whether a node comes after another on some path."""
    waiting, seen = [node], set()
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source is other:
                return True
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return False


def _is_sum(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in (operator.add, operator.iadd, torch.add)


def _fan_out(module: nn.Linear | _ConvNd) -> float:
    """How many products an input enters."""
    if isinstance(module, nn.Linear):
        return module.out_features
    taps = math.prod(module.kernel_size) / math.prod(module.stride)
    return taps * module.out_channels / module.groups


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))
