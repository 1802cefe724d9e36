"""Recurrent networks: cells that read a sequence step by step."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import RefusedError
from initlab.models.parts import check_sizes


class GateLinear(nn.Linear):
    """The maps of all gates of a cell, in one product; an initializer fills each of them by itself.

    As torch's cells, it starts from U(±1/sqrt(width)), whatever its inputs.

    Args:
        in_features: Number of inputs.
        width: Units of each gate.
        gates: A letter for each gate, in the order in which their rows stand; a plain cell has one map, and no letter.
        bias: Whether it has biases.
        recurrent: Whether its inputs are the cell's own state.

    Input shape (…, in_features), output shape (…, gates · width).
    """

    def __init__(self, in_features: int, width: int, gates: str, bias: bool, *, recurrent: bool) -> None:
        super().__init__(in_features, max(1, len(gates)) * width, bias)
        self.gates, self.recurrent = gates, recurrent
        self.steps_first = not recurrent  # for whoever looks at it, where a batch has as many rows as steps
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def at_rest(self) -> Tensor:
        """What it gives for inputs of 0, shape (gates · width,)."""
        return self.weight.new_zeros(self.out_features) if self.bias is None else self.bias


class Cell(nn.Module):
    """One layer of a recurrent network: its linear maps.

    A cell goes from inputs, shape (steps, batch, features), to a list of its state after each step, shape (batch,
    width). Inputs are multiplied for all steps at once. The state is 0 before the first step, where `recurrent` need
    not be called: whoever watches it sees states alone.

    Args:
        features: How many numbers it reads at each step.
        width: Units of its state.
        bias: Whether `input` and `recurrent` have biases, each its own, as in torch.
        gates: A letter for each gate, in torch's order; empty for a plain cell.
    """

    def __init__(self, features: int, width: int, bias: bool, *, gates: str = "") -> None:
        super().__init__()
        self.width = width
        self.input = GateLinear(features, width, gates, bias, recurrent=False)
        self.recurrent = GateLinear(width, width, gates, bias, recurrent=True)


class PlainCell(Cell):
    """h' = φ(W x + b + U h + c), as nn.RNN has it, with any activation φ (Elman 1990)."""

    def __init__(self, features: int, width: int, activation: Activation, bias: bool) -> None:
        super().__init__(features, width, bias)
        self.activation = activation.module()

    def forward(self, signal: Tensor) -> list[Tensor]:
        """Read a sequence."""
        first, *others = self.input(signal).unbind(0)
        states = [self.activation(first + self.recurrent.at_rest())]
        for entering in others:
            states.append(self.activation(entering + self.recurrent(states[-1])))
        return states


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000), as nn.LSTM has it.

    With i, f, o = σ(…) and g = tanh(…), maps of input and state each: c' = f·c + i·g and h' = o·tanh(c').
    """

    def __init__(self, features: int, width: int, bias: bool) -> None:
        super().__init__(features, width, bias, gates="ifgo")
        self.admit_and_keep, self.candidate = nn.Sigmoid(), nn.Tanh()
        self.show, self.squash = nn.Sigmoid(), nn.Tanh()

    def forward(self, signal: Tensor) -> list[Tensor]:
        """Read a sequence."""
        states: list[Tensor] = []
        memory: Tensor | None = None
        for entering in self.input(signal).unbind(0):
            recurring = self.recurrent(states[-1]) if states else self.recurrent.at_rest()
            both, candidate, show = (entering + recurring).split((2 * self.width, self.width, self.width), -1)
            admit, keep = self.admit_and_keep(both).chunk(2, -1)
            new = admit * self.candidate(candidate)
            memory = new if memory is None else keep * memory + new
            states.append(self.show(show) * self.squash(memory))
        return states


class GRUCell(Cell):
    """Gated recurrent unit (Cho et al. 2014), as nn.GRU has it.

    With r, z = σ(…), maps of input and state each: n = tanh(W x + b + r·(U h + c)) and h' = (1 − z)·n + z·h.
    """

    def __init__(self, features: int, width: int, bias: bool) -> None:
        super().__init__(features, width, bias, gates="rzn")
        self.reset_and_keep, self.candidate = nn.Sigmoid(), nn.Tanh()

    def forward(self, signal: Tensor) -> list[Tensor]:
        """Read a sequence."""
        states: list[Tensor] = []
        for entering in self.input(signal).unbind(0):
            recurring = self.recurrent(states[-1]) if states else self.recurrent.at_rest()
            both, candidate = entering.split((2 * self.width, self.width), -1)
            both_recurring, remembered = recurring.split((2 * self.width, self.width), -1)
            reset, keep = self.reset_and_keep(both + both_recurring).chunk(2, -1)
            new = self.candidate(candidate + reset * remembered)
            states.append(new + keep * (states[-1] - new) if states else new - keep * new)
        return states


class RecurrentNetwork(nn.Module):
    """Layers of cells, then linear logits of the last state, or of the state at each step.

    Cells are written out step by step, as no fused kernel can go through many members at once. Tokens are one-hot
    inputs, as in the published experiments with these networks: the first cell's `input` then is all that reads them,
    with the fan_in that torch's cells have, where an embedding before it would be one more layer, with a scale of its
    own.

    Args:
        input_shape: Shape of one sample: (steps, features), or (steps,) for tokens.
        out_features: How many numbers it answers with: a logit a class, or an output a target.
        vocabulary: How many kinds of tokens there are; None: each step is a vector of numbers.
        every_step: Whether it answers at each step, or after the last alone.
        width: Units of each cell.
        depth: Number of cells, one upon the other.
        bias: Whether the linear maps have biases.

    Input shape (batch, steps, features), or (batch, steps) for tokens; output shape (batch, out_features), or (batch,
    steps, out_features).

    Raises:
        UserError: a size is below 1; or, as a RefusedError, the samples are no sequences.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        *,
        vocabulary: int | None = None,
        every_step: bool = False,
        width: int = 64,
        depth: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(width=width, depth=depth)
        features = _features(input_shape, vocabulary, model=type(self).__name__.lower())
        self.vocabulary, self.every_step = vocabulary, every_step
        self.cells = nn.ModuleList(self.cell(entering, width, bias) for entering in [features, *[width] * (depth - 1)])
        self.output = nn.Linear(width, out_features, bias)

    @abstractmethod
    def cell(self, features: int, width: int, bias: bool) -> Cell:
        """A layer that reads so many numbers at each step."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = inputs.transpose(0, 1)
        if self.vocabulary is not None:
            kinds = torch.arange(self.vocabulary, device=signal.device)  # vmap does not trace F.one_hot
            signal = (signal.unsqueeze(-1) == kinds).to(self.output.weight.dtype)
        *lower, last = self.cells
        for cell in lower:
            signal = torch.stack(cell(signal))
        states = last(signal)
        logits: Tensor = self.output(torch.stack(states, 1) if self.every_step else states[-1])
        return logits


class RNN(RecurrentNetwork):
    """A network of plain cells, with any activation.

    Example:
        >>> model = RNN((50, 2), 1, Activation("tanh"), width=32)
        >>> model(torch.zeros(5, 50, 2)).shape
        torch.Size([5, 1])

    Args:
        input_shape: Shape of one sample: (steps, features), or (steps,) for tokens.
        out_features: How many numbers it answers with.
        activation: The nonlinearity of each cell; torch's is tanh or ReLU.
        vocabulary: How many kinds of tokens there are; None: each step is a vector of numbers.
        every_step: Whether it answers at each step, or after the last alone.
        width: Units of each cell.
        depth: Number of cells, one upon the other.
        bias: Whether the linear maps have biases.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        vocabulary: int | None = None,
        every_step: bool = False,
        width: int = 64,
        depth: int = 1,
        bias: bool = True,
    ) -> None:
        self._activation = activation  # which `cell` needs
        super().__init__(
            input_shape,
            out_features,
            vocabulary=vocabulary,
            every_step=every_step,
            width=width,
            depth=depth,
            bias=bias,
        )

    def cell(self, features: int, width: int, bias: bool) -> PlainCell:
        """A layer of it."""
        return PlainCell(features, width, self._activation, bias)


class LSTM(RecurrentNetwork):
    """A network of cells with a memory and three gates; `RecurrentNetwork` has its arguments."""

    def cell(self, features: int, width: int, bias: bool) -> LSTMCell:
        """A layer of it."""
        return LSTMCell(features, width, bias)


class GRU(RecurrentNetwork):
    """A network of cells with two gates; `RecurrentNetwork` has its arguments."""

    def cell(self, features: int, width: int, bias: bool) -> GRUCell:
        """A layer of it."""
        return GRUCell(features, width, bias)


def _features(shape: tuple[int, ...], vocabulary: int | None, *, model: str) -> int:
    """How many numbers a cell reads at each step.

    Raises:
        RefusedError: a sample has no steps, or more dimensions than a sequence.
    """
    expected = "(steps, features)" if vocabulary is None else "(steps,)"
    if len(shape) != (2 if vocabulary is None else 1):
        raise RefusedError(
            f"model={model} needs sequences {expected}, but a sample has shape {tuple(shape)}; "
            f"use model={'mlp' if len(shape) == 1 else 'cnn'}"
        )
    if not all(shape):
        raise RefusedError(f"model={model} needs sequences of at least one step, but a sample has shape {tuple(shape)}")
    return shape[1] if vocabulary is None else vocabulary
