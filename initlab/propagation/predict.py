"""What mean-field theory says of a concrete network: the rules of its operations along its graph, from `torch.fx`.

What the rules cover is predicted; anything else is not, and the reason is kept.
"""

import operator
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from initlab.activations import TORCH_FUNCTIONS, Activation, activation_of, nonlinearity_of
from initlab.base.errors import first_line
from initlab.modules.measuring import measuring
from initlab.propagation.layers import Site
from initlab.propagation.prediction import Prediction, WeightLaw
from initlab.propagation.rules import (
    BatchNorm,
    Gradient,
    LayerNorm,
    NoClosedFormError,
    Nonlinearity,
    Rule,
    Signal,
    Sum,
    Unchanged,
    rule_of_layer,
)

GROUPS: Final = 4  # of inputs of similar size, each with its own q
METHODS: Final = ("relu", "tanh", "sigmoid")
NORMS: Final = (nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm)  # that there are rules for
COPIES: Final = ("contiguous", "clone", "float", "double")


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
        model: The network's structure; the weights that it holds are not used.
        laws: By the name of each layer, the law of its weights and biases.
        inputs: The batch, floating-point numbers, shape (rows, …).
        gradient: Of the gradient at the output, its second moment, and the mean product of different rows.
        plain_norms: Names of norm layers that scale by 1 and shift by 0, if at all.

    Returns:
        A prediction for each site as far as there is one, and else the reason why there is none.
    """
    try:
        with measuring(model), torch.no_grad():  # tracing runs the modules' own Python: counters would move
            graph = _Tracer(model).trace(model)
    except Exception as error:  # whatever a model does that cannot be traced
        reason = f"the network's operations cannot be followed: {first_line(error)}"
        return Prediction(unpredicted=reason)
    return _Walk(model, graph, laws, plain_norms, inputs).run(_signal_of(inputs), Gradient(*gradient))


class _Tracer(fx.Tracer):
    """Follows a network down to torch's own layers and to nonlinearities of any library."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # Found before: while it traces, a module's parameters are no tensors.
        self._activations = {module for module in model.modules() if nonlinearity_of(module) is not None}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m in self._activations or super().is_leaf_module(m, module_qualified_name)


def _signal_of(inputs: Tensor) -> Signal:
    rows = inputs.detach().double().cpu().flatten(1)
    squares = rows.square().mean(1).sort().values
    groups = torch.stack([part.mean() for part in squares.tensor_split(min(GROUPS, len(rows)))])
    count = len(rows)
    together = float(rows.sum(0).square().mean() - rows.square().mean(1).sum())
    crossed = together / (count * (count - 1)) if count > 1 else float(groups.mean())
    return Signal(groups, crossed, normal=False, mean=float(rows.mean()))


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
        self._rows, self._sequences, self._dtype = len(inputs), inputs.dim() == 3, inputs.dtype
        self._crossing = any(isinstance(module, nn.BatchNorm1d) for module in self._modules.values())
        self._calls = Counter(str(node.target) for node in self._nodes if node.op == "call_module")
        self._rules: dict[fx.Node, Rule] = {}
        self._signals: dict[fx.Node, Signal] = {}
        self._gradients: dict[fx.Node, Gradient] = {}
        self._no_signal: dict[fx.Node, str] = {}  # the reason
        self._no_gradient: dict[fx.Node, str] = {}

    def run(self, signal: Signal, gradient: Gradient) -> Prediction:
        """Follow a signal forth from the input, and a gradient back from the output."""
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
            {site: found.mean_square for site, found in known.items()},
            {site: found.correlation for site, found in known.items()},
            {site: self._gradients[node].g for site, node in sites.items() if self._has_gradient(node)},
            {site: self._no_signal[node] for site, node in sites.items() if node in self._no_signal},
            {site: self._no_gradient[node] for site, node in sites.items() if node in self._no_gradient},
            gain=self._gain(gradient),
        )

    def _has_gradient(self, node: fx.Node) -> bool:
        return node in self._gradients and node not in self._no_gradient

    def _gain(self, end: Gradient) -> float | None:
        start = self._nodes[0]
        return self._gradients[start].g / end.g if self._has_gradient(start) and end.g else None

    def _forward(self, node: fx.Node, start: Signal) -> None:
        if node.op in ("get_attr", "output"):
            return
        if node.op == "placeholder":
            self._signals[node] = start
            return
        sources = node.all_input_nodes
        try:
            for source in sources:
                if source in self._no_signal:
                    raise NoClosedFormError(self._no_signal[source])
            rule = self._rules[node] = self._rule(node)
            if not sources or any(source not in self._signals for source in sources):
                raise NoClosedFormError(f"no closed form for {_name(node)}")
            self._signals[node] = rule.forward(*(self._signals[source] for source in sources))
        except NoClosedFormError as unknown:
            self._no_signal[node] = str(unknown)

    def _backward(self, node: fx.Node, end: Gradient) -> None:
        sources = node.all_input_nodes
        if node.op == "output":
            for source in sources:
                self._send(source, end)
            return
        if node not in self._gradients or not sources:
            return
        try:
            if node in self._no_gradient:
                raise NoClosedFormError(self._no_gradient[node])
            if node in self._no_signal:
                raise NoClosedFormError(self._no_signal[node])
            before = self._rules[node].backward(self._gradients[node], self._signals[sources[0]])
        except NoClosedFormError as unknown:
            for source in sources:
                self._no_gradient.setdefault(source, str(unknown))
                self._send(source, Gradient(0.0, 0.0))
            return
        for source in sources:
            self._send(source, before)

    def _send(self, node: fx.Node, gradient: Gradient) -> None:
        """Add what comes back on one path to what has come on others."""
        there = self._gradients.get(node, Gradient(0.0, 0.0))
        self._gradients[node] = Gradient(there.g + gradient.g, there.h + gradient.h)

    def _rule(self, node: fx.Node) -> Rule:
        """The rule of an operation.

        Raises:
            NoClosedFormError: theory has no rule for it.
        """
        activation = self._activation(node)
        if activation is not None:
            return Nonlinearity(_name(node), activation, self._crossing)
        if self._passes(node):
            return Unchanged()
        if _is_sum(node):
            sources = node.all_input_nodes
            if len(sources) != 2 or len(node.args) != 2 or node.kwargs:
                raise NoClosedFormError("a sum of what is not independent")
            return Sum()
        if node.op == "call_module":
            return self._rule_of_module(str(node.target))
        raise NoClosedFormError(f"no closed form for {_name(node)}")

    def _rule_of_module(self, name: str) -> Rule:
        module = self._modules[name]
        if isinstance(module, nn.Linear | _ConvNd):
            return rule_of_layer(name, module, self._laws.get(name), again=self._calls[name] > 1)
        if isinstance(module, NORMS) and name not in self._plain_norms:
            raise NoClosedFormError(f"{name} scales or shifts what it normalizes")
        if isinstance(module, nn.BatchNorm1d) and not self._sequences:
            return BatchNorm(name, self._rows, module.eps)
        if isinstance(module, nn.LayerNorm | nn.RMSNorm):
            eps = torch.finfo(self._dtype).eps if module.eps is None else module.eps
            return LayerNorm(name, isinstance(module, nn.LayerNorm), eps)
        raise NoClosedFormError(f"no closed form for {type(module).__name__}")

    def _activation(self, node: fx.Node) -> Activation | None:
        if node.op == "call_module":
            known = activation_of(self._modules[str(node.target)])
            return None if known is None or known.name == "identity" else known
        plain = not {key for key in node.kwargs if key != "inplace"} and len(node.args) == 1
        if node.op == "call_function" and plain and callable(node.target) and node.target in TORCH_FUNCTIONS:
            return Activation(TORCH_FUNCTIONS[node.target])
        if node.op == "call_method" and plain and node.target in METHODS:
            return Activation(str(node.target))
        return None

    def _passes(self, node: fx.Node) -> bool:
        """Whether an operation leaves every number as it is."""
        if node.op == "call_module":
            return isinstance(self._modules[str(node.target)], nn.Identity | nn.Flatten | _DropoutNd)
        name = getattr(node.target, "__name__", node.target)
        return name in COPIES or (name == "flatten" and node.args[1:] == (1,) and not node.kwargs)


def _is_sum(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target in (operator.add, operator.iadd, torch.add)


def _name(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target))
