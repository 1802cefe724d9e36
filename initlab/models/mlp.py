"""A multilayer perceptron."""

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor, nn

from initlab.activations import Activation
from initlab.errors import UserError

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
}


class MLP(nn.Module):
    """Fully connected layers: (linear, norm, activation, dropout) for each hidden size, then linear logits.

    Args:
        input_shape: Shape of one sample; images are flattened.
        out_features: Number of logits.
        activation: Follows every hidden layer.
        hidden: Units of each hidden layer; `[]` leaves a linear classifier.
        norm: Between a hidden layer and its activation: none, batch or layer.
        dropout: Probability of zeroing a hidden unit while training.
        bias: Whether the linear layers have biases.

    Input shape (batch, *input_shape), output shape (batch, out_features).
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        out_features: int,
        activation: Activation,
        *,
        hidden: Sequence[int] = (64, 64),
        norm: str = "none",
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UserError(f"model.norm={norm}: expected one of {', '.join(NORMS)}")
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout={dropout}: expected a probability in [0, 1)")
        if any(units < 1 for units in hidden):
            raise UserError(f"model.hidden={list(hidden)}: expected at least one unit in each layer")
        sizes = [prod(input_shape), *hidden]
        self.hidden = nn.ModuleList(
            nn.Linear(fan_in, fan_out, bias) for fan_in, fan_out in zip(sizes, hidden, strict=False)
        )
        self.norms = nn.ModuleList(NORMS[norm](units) for units in hidden)
        self.activations = nn.ModuleList(activation.module() for _ in hidden)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.output = nn.Linear(sizes[-1], out_features, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the logits."""
        signal = inputs.flatten(1)
        for linear, norm, activation in zip(self.hidden, self.norms, self.activations, strict=True):
            signal = self.dropout(activation(norm(linear(signal))))
        logits: Tensor = self.output(signal)
        return logits
