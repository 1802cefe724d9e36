"""The optimizer steps of a cohort: one operation after another, or all of them as one compiled program."""

import warnings
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor

from initlab.base.errors import first_line
from initlab.cohort.engines import Engine, flops_of_row
from initlab.cohort.optimizers import clip_members, gradient_norms
from initlab.cohort.recipe import Recipe, Rows, Taken
from initlab.data.dataset import Split
from initlab.modules.stack import Stack

if TYPE_CHECKING:
    from initlab.cohort.compiled import CompiledStep

# Processor time of a program for 349 networks of classic_wine, on a busy Xeon: 3.7 s of this process and 9 of the C++
# compiler; all takes about 1.5 times as long there as where the numbers below are from. A kept one takes hundredths.
COMPILE_SECONDS: Final = 10.0
SAVED_BY_LAYER: Final = 1.5e-4  # seconds of a step in which torch starts the operations of a layer
SAVED_BY_LAYER_ON_GPU: Final = 8e-4  # of 400 and 10,000 networks of classic_wine on an H200, which took 11 s to compile
SAVED_BY_MEMBER: Final = 7e-7  # of which its library starts the products of a layer of one member
MOST_USES: Final = 2  # of a weight for one row


class Steps:
    """Takes a cohort's optimizer steps.

    Args:
        recipe: What a step consists of.
        engine: Computes the gradients where a step is not compiled.
        compile: Whether to compile the step: `False` for no, as soon as may be for `True`.
        batch: Rows of a member in a whole batch.
    """

    def __init__(self, recipe: Recipe, engine: Engine, *, compile: bool, batch: int) -> None:
        self._recipe, self._engine, self._batch = recipe, engine, batch
        self._to_compile = compile
        self._begun = False
        self._compiled: CompiledStep | None = None
        self._parameters = list(recipe.stack.parameters.values())

    @property
    def compiled(self) -> bool:
        """Whether steps are compiled, or will be."""
        return self._to_compile or self._compiled is not None

    def arranged(self, block: Tensor) -> Tensor:
        """The same indices in the order in memory that the coming steps gather them in.

        Args:
            block: Of the rows of several steps, shape (steps, members, batch).
        """
        if self._compiled is None or not self._compiled.members_last:
            return block
        # Of half the size they are read in little more than half the time.
        return block.transpose(1, 2).to(torch.int32, memory_format=torch.contiguous_format).transpose(1, 2)

    def go_on(self) -> None:
        """Know that the optimizer has taken steps in a former run."""
        self._begun = True

    def take(
        self, rows: Split, batches: Tensor, stopped: Tensor | None, *, measure: bool, leave_gradients: bool = False
    ) -> Taken:
        """Take one step.

        The first of a training makes what the optimizer keeps; compiled are those that follow.

        Args:
            rows: All training rows.
            batches: Indices of the rows that each member sees, shape (members, batch).
            stopped: Which members stay as they are, shape (members,); None: none.
            measure: Whether the norms of the gradients are wanted.
            leave_gradients: Whether each parameter's `grad` is to hold the step's gradient, after clipping. A compiled
                step does without, so that it is computed once more.
        """
        whole = batches.shape[1] == self._batch
        if self._to_compile and self._begun and whole:
            self._to_compile = False
            self._set_gradients(rows, batches, wanted=leave_gradients)
            taken = self._compile(rows, batches, stopped)
            if taken is not None:
                return taken
        if self._compiled is not None and (whole or self._compiled.takes_rest):
            if self._recipe.optimizer.settings_kept():
                self._set_gradients(rows, batches, wanted=leave_gradients)
                return self._compiled(rows, batches, stopped)
            self._compiled = None  # a schedule moves more than the rates
        self._begun = True
        outputs, losses = self._engine.gradients(rows, batches)
        gradients = self._gradients()
        norms = gradient_norms(gradients) if measure else None
        if self._recipe.gradient_clip is not None:
            clip_members(gradients, self._recipe.gradient_clip)
        self._recipe.optimizer.step(stopped)
        return Taken(Rows(outputs, losses), norms)

    def _set_gradients(self, rows: Split, batches: Tensor, *, wanted: bool) -> None:
        """Drop the gradients of an earlier step and, where they are wanted, compute those of a step that is compiled.

        Random numbers of CPU and CUDA, and what layers keep, stay as they were.
        """
        for parameter in self._parameters:
            parameter.grad = None
        if not wanted:
            return
        buffers = self._recipe.stack.buffers
        kept = {name: buffer.clone() for name, buffer in buffers.items()}
        with torch.random.fork_rng([batches.device] if batches.is_cuda else []):
            self._engine.gradients(rows, batches)
        for name, values in kept.items():
            buffers[name].copy_(values)
        if self._recipe.gradient_clip is not None:
            clip_members(self._gradients(), self._recipe.gradient_clip)

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def _compile(self, rows: Split, batches: Tensor, stopped: Tensor | None) -> Taken | None:
        """Compile the step and take it; None where it cannot be compiled, which is said."""
        self._recipe.optimizer.keep_settings()
        try:
            from initlab.cohort.compiled import CompiledStep  # torch's tracer takes a while to import

            with warnings.catch_warnings():  # what its compiler advises, a user cannot change
                warnings.filterwarnings("ignore", module=r"torch\._inductor")
                step = CompiledStep(self._recipe, rows, batches)
                taken = step(rows, batches, stopped)  # torch compiles at the first call, before it computes anything
        except Exception as error:  # of a network that cannot be traced, or a machine without a compiler
            why = f"{type(error).__name__}: {first_line(error)}"
            warnings.warn(f"compile: this cohort trains uncompiled, as it cannot be compiled ({why})", stacklevel=2)
            return None
        self._compiled = step
        return taken


def is_worth_compiling(
    requested: bool | Literal["auto"], *, engine: str, stack: Stack, sample: Tensor, steps: int, cohorts: float = 1
) -> bool:
    """Whether a cohort's step is to be compiled.

    With `"auto"` the answer depends on the command alone, not on what is kept on disk: the same command gives the same
    numbers each time. A network whose weights act many times on a row, as a recurrent one, is too long a program.

    Args:
        requested: The key `compile`.
        engine: The cohort's engine: only `vmap` compiles.
        stack: The members, on the device that trains.
        sample: A few rows, shape (rows, *input_shape), on the same device.
        steps: Optimizer steps of the whole training.
        cohorts: How many like this one the command trains: one program serves all.
    """
    if engine != "vmap" or requested is False:
        return False
    if requested is True:
        return True
    weights = [weight for weight in stack.template.parameters() if weight.dim() > 1]
    saved_by_layer = SAVED_BY_LAYER_ON_GPU if sample.is_cuda else SAVED_BY_LAYER + SAVED_BY_MEMBER * stack.members
    if cohorts * steps * len(weights) * saved_by_layer <= COMPILE_SECONDS:
        return False
    return flops_of_row(stack.template, sample) <= MOST_USES * 2 * sum(weight.numel() for weight in weights)
