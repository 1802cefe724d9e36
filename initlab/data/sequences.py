"""Arrays of the user's own whose rows are sequences."""

import numpy as np

from initlab.base.errors import UserError
from initlab.data.assemble import Arrays
from initlab.data.dataset import NO_TARGET
from initlab.data.limits import LEAST_STEPS


def steps_first(pair: Arrays, where: str, *, tokens: bool, every_step: bool) -> Arrays:
    """Inputs and targets as sequences have them: a number a step becomes a vector of one.

    Args:
        pair: Inputs and targets, rows first.
        where: Where they come from, for messages.
        tokens: Whether inputs are tokens, one a step.
        every_step: Whether there is a target at each step.

    Raises:
        UserError: inputs or targets of another shape or kind, or of less than two steps.
    """
    inputs, targets = pair
    if not tokens and inputs.ndim == 2:
        inputs = inputs[..., None]
    if inputs.ndim != (2 if tokens else 3):
        expected = "(rows, steps)" if tokens else "(rows, steps, features), or (rows, steps)"
        raise UserError(f"{where}: inputs of shape {inputs.shape}; expected sequences, {expected}")
    if inputs.shape[1] < LEAST_STEPS:
        raise UserError(f"{where}: inputs of shape {inputs.shape}; expected at least {LEAST_STEPS} steps")
    if tokens and inputs.min() < 0:
        raise UserError(f"{where}: data.tokens=true: a token is {inputs.min()}; expected whole numbers from 0")
    if not every_step:
        return inputs, targets
    kind = targets.dtype.kind
    whole = kind in "biu" or (kind == "f" and bool(np.isfinite(targets).all() and (targets % 1 == 0).all()))
    if not whole or targets.shape != inputs.shape[:2]:
        raise UserError(
            f"{where}: targets of type {targets.dtype} and shape {targets.shape}; data.task=sequence needs a class at "
            f"each step, whole numbers from 0 ({NO_TARGET}: none is asked for) in shape {inputs.shape[:2]}"
        )
    return inputs, targets.astype(np.int64)


def could_be_steps(inputs: np.ndarray, targets: np.ndarray) -> bool:
    """Whether targets that are taken for numbers look like classes, one at each step of the inputs."""
    return targets.ndim == 2 and targets.dtype.kind in "iu" and targets.shape == inputs.shape[:2]
