"""Biases of the gates by which recurrent cells keep their state."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.context import Context
from initlab.initializers.registry import register


@register(
    "forget_bias",
    level="model",
    needs=("gates",),
    base="xavier_uniform",
    source="Gers et al. 2000; Jozefowicz et al. 2015; in the sum of torch's two biases, pytorch#750",
)
def forget_bias(model: nn.Module, *, context: Context, value: float = 1.0) -> dict[str, str]:
    """Set the biases of LSTMs' forget gates to a value, so that cells remember at the start; all else is as `base` is.

    torch's cells have two biases, of which only the sum counts: that of the state gets the value, that of the input 0.

    Args:
        model: A network with forget gates, its weights filled by `base`.
        context: Only its weights are used; it needs no batch.
        value: Of the bias: cells keep the share σ(value) of their memory at a step, .73 for 1, and .5 for 0.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: no cell has a forget gate, as GRUs have none, or gates have no biases.
    """
    if not any("f" in slot.stored.gates for slot in context.slots):
        raise UserError(f"init=forget_bias: {type(model).__name__} has no forget gates; use model=lstm, or init=chrono")
    return _set_biases(
        context, lambda width: {"f": torch.full((width,), value, device="cpu")}, f"forget gates {value:g}"
    )


@register(
    "chrono",
    level="model",
    needs=("gates", "steps"),
    base="xavier_uniform",
    source="Tallec & Ollivier 2018, arXiv:1804.11188, sec. 2",
)
def chrono(
    model: nn.Module,  # noqa: ARG001
    *,
    context: Context,
    steps: int | None = None,
) -> dict[str, str]:
    """Draw the biases of gates so that cells remember for 2 to T steps, evenly; all else is as `base` is.

    In an LSTM b_f = ln u and b_i = −b_f, with u from U(1, T − 1) for each unit. Without input a unit then keeps the
    share σ(b_f) = u/(1 + u) of its memory at a step, in [1/2, (T − 1)/T], and forgets it over 1/(1 − σ(b_f)) = 1 + u
    steps. In a GRU, h' = (1 − z)·n + z·h as torch has it, the update gate z is that share: b_z = ln u. The paper's gate
    lets new things in, 1 − z, and has the bias −ln u.

    torch's cells have two biases, of which only the sum counts: that of the state gets these, that of the input 0.

    Args:
        model: A network with gates, its weights filled by `base`.
        context: It knows how many steps the data's sequences have, and draws u.
        steps: T, the longest dependency to expect, at least 2. None: the length of the sequences.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: T is below 2, or gates have no biases.
    """
    longest = context.steps if steps is None else steps
    assert longest is not None  # it needs the steps
    if longest < 2:
        raise UserError(f"init.steps={longest}: expected at least 2: over a single step nothing is to be remembered")

    def drawn(width: int) -> dict[str, Tensor]:
        keep = torch.empty(width, dtype=torch.float64, device="cpu")
        keep.uniform_(1, longest - 1, generator=context.generator).log_()
        return {"f": keep, "i": -keep, "z": keep}

    return _set_biases(context, drawn, f"remembers for 2 to {longest} steps")


def _set_biases(context: Context, values: Callable[[int], Mapping[str, Tensor]], note: str) -> dict[str, str]:
    """Set the biases of some gates: those of the state to values, those of the input to 0.

    Args:
        context: Its weights, with their gates.
        values: From the number of units to the biases of each gate, by its letter, shape (units,).
        note: What they are for, in the remarks.

    Raises:
        UserError: gates have no bias by the state.
    """
    notes = {}
    for slot in context.slots:
        if slot.stored.recurrent and slot.stored.gates and slot.bias is None:
            raise UserError(f"init: the gates of {slot.name} have no bias to set; build the network with bias=true")
        if slot.bias is None or slot.bias_name is None or not slot.stored.gates:
            continue
        chosen = values(slot.fan.fan_out)
        parts = zip(slot.stored.gates, slot.stored.each_bias(slot.bias.data), strict=True)
        for gate, part in ((gate, part) for gate, part in parts if gate in chosen):
            part.copy_(chosen[gate] if slot.stored.recurrent else torch.zeros_like(part))
            notes[slot.bias_name] = note if slot.stored.recurrent else "0: that of the state has the value"
    return notes
