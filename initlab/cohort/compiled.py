"""One optimizer step of all members, forward and backward pass, clipping and update, as one compiled program."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, fx
from torch.func import vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten, tree_unflatten

from initlab.base.threads import intra_op_threads
from initlab.cohort.batch_norm import BatchNormApart
from initlab.cohort.compiled_key import compiled_key
from initlab.cohort.compiled_programs import is_random, keep_program, load_program
from initlab.cohort.engines import has_dropout
from initlab.cohort.launch import Launch
from initlab.cohort.members_last import Last, MembersLast, members_last
from initlab.cohort.optimizers import clip_members, gradient_norms
from initlab.cohort.recipe import Recipe, Sums, Taken
from initlab.data.dataset import Split
from initlab.modules.calling import call_with

aten = torch.ops.aten

# Multiplications of a member's largest product up to which members go last. A step of 400 members on one core takes, of
# what it takes uncompiled, with 16 × 11 × 10 a fifth, with 16 × 32 × 32 as much, with 16 × 64 × 64 half as much again;
# with members first the last takes two thirds.
SMALL_PRODUCT: Final = 8_192
Compiler = Callable[[fx.GraphModule, str | None], Callable[..., Any]]
# What vmap keeps whole, and has members first in.
TAKEN_APART: Final[Any] = torch._decomp.get_decompositions([aten.native_layer_norm, aten.native_layer_norm_backward])


class Kept(NamedTuple):
    """What stays from step to step, and is changed in place.

    Attributes:
        parameters: The stacked parameters, (members, …) each.
        buffers: The stacked buffers, likewise.
        states: What the optimizer keeps of each parameter.
    """

    parameters: list[Tensor]
    buffers: list[Tensor]
    states: list[dict[str, Tensor]]


class Given(NamedTuple):
    """What a step is given.

    Attributes:
        ratios: Of each parameter, each member's learning rate by the optimizer's, shape (members,); empty: all are 1.
        stopped: Which members stay as they are, shape (members,); empty: none.
        whole: Whether all rows count, one truth value: else the first `Recipe.rest`; empty: all always do.
        inputs: Each member's batch, shape (members, batch, …).
        targets: What it should answer, shape (members, batch, …).
    """

    ratios: list[Tensor]
    stopped: list[Tensor]
    whole: list[Tensor]
    inputs: Tensor
    targets: Tensor


class CompiledStep:
    """An optimizer step of a cohort as one program, which torch's compiler makes.

    It computes what the vmap engine and the optimizer compute one operation after another; sums may be taken in another
    order. Tensors of the stack and of the optimizer are changed in place, so that either way may follow the other.

    A program with members last is kept on disk where it can be, and is not traced again. A last batch of fewer rows is
    filled up with rows that do not count, where it is sure that a row's outputs do not depend on other rows.

    Attributes:
        takes_rest: Whether it takes a last batch of `Recipe.rest` rows, too.
        members_last: Whether members are neighbours in memory.

    Args:
        recipe: What a step consists of. Its optimizer has taken a step, and keeps what it keeps of each parameter.
        rows: The training rows.
        batches: Indices of the first batch, shape (members, batch): no later one has more rows.
        compiler: Makes a function of a traced program, given the key to keep it under, if it may be kept.

    Raises:
        Exception: whatever a network that cannot be traced, or a machine without a compiler, brings about.
    """

    def __init__(self, recipe: Recipe, rows: Split, batches: Tensor, compiler: Compiler | None = None) -> None:
        self._recipe, self._rows = recipe, rows
        self._columns: Tensor | None = None
        if not rows_stay_apart(recipe):
            recipe = self._recipe = replace(recipe, rest=0)
        self.takes_rest = recipe.rest > 0
        self._batch = batches.shape[1]
        self._whole = [torch.tensor(whole, device=batches.device) for whole in (False, True)]
        on_cpu = batches.device.type == "cpu"
        with intra_op_threads(1):  # as programs with members last have it, which alone are kept
            # Where torch saw a GPU, an H200 with torch 2.11, the process ended when it loaded a program for the CPU.
            may_keep = on_cpu and not torch.cuda.is_available()
            key = _key(recipe, rows, batches) if may_keep else None
            found = load_program(key) if key else None
        traced = None if found else _trace(recipe, _kept(recipe), self._given(batches))
        self.members_last = traced is None or (on_cpu and _largest_product(traced) <= SMALL_PRODUCT)
        if self.members_last:
            # A column a row, so that a batch is gathered with members as neighbours.
            self._columns = rows.inputs.flatten(1).t().contiguous()
            _lay_out(recipe)
        self._kept = tree_flatten(_kept(recipe))[0]
        if traced is not None:
            make = compiler or compile_program
            with self._threads():
                if self.members_last:
                    traced = _with_members_last(traced, [*self._kept, *tree_flatten(self._given(batches))[0]])
                    found = make(traced, key)
                else:
                    found = make(traced, None)
        assert found is not None
        self._program = found
        self._launch = Launch() if batches.device.type == "cuda" else None

    def _threads(self) -> AbstractContextManager[None]:
        """One thread for loops over members, which share nothing that several threads would be done with earlier.

        Where other programs are at work these wait for each other, and a step of 1 ms took 85.
        """
        return intra_op_threads(1) if self.members_last else nullcontext()

    def __call__(self, rows: Split, batches: Tensor, stopped: Tensor | None) -> Taken:
        """Take a step.

        Args:
            rows: The training rows.
            batches: Indices of the rows that each member sees, shape (members, batch); or (members, rest), if it takes
                the rest.
            stopped: Which members stay as they are; None: none.
        """
        assert rows is self._rows
        ratios, stays, whole = self._settings(batches, stopped)
        given = (_filled_up(batches, self._batch), *ratios, *stays, *whole)
        with torch.no_grad(), self._threads():
            found = self._run(*given) if self._launch is None else self._launch(self._run, *given)
        loss, of_score, norms = found
        if self.members_last and of_score.dim() > 1:
            of_score = of_score.movedim(-1, 0)
        return Taken(Sums(loss, of_score), norms)

    def _run(self, batches: Tensor, *settings: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = self._program(*self._kept, *settings, *self._gather(batches))
        return found

    def _given(self, batches: Tensor) -> Given:
        return Given(*self._settings(batches, None), *self._gather(batches))

    def _settings(self, batches: Tensor, stopped: Tensor | None) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The first three of what a step is `Given`."""
        recipe = self._recipe
        if stopped is None and recipe.may_stop:
            stopped = torch.zeros(recipe.stack.members, dtype=torch.bool, device=batches.device)
        return (
            recipe.optimizer.ratios() if recipe.rates_differ else [],
            [] if stopped is None else [stopped],
            [self._whole[batches.shape[1] == self._batch]] if self.takes_rest else [],
        )

    def _gather(self, batches: Tensor) -> tuple[Tensor, Tensor]:
        """Each member's batch and its targets; with members as neighbours in memory where the program wants them so."""
        rows = self._rows
        if self._columns is None:
            return rows.inputs[batches], rows.targets[batches]
        order, (members, batch) = batches.t().reshape(-1), batches.shape
        inputs = self._columns.index_select(1, order).view(*rows.inputs.shape[1:], batch, members)
        targets = rows.targets.index_select(0, order).unflatten(0, (batch, members))
        return inputs.movedim((-1, -2), (0, 1)), targets.transpose(0, 1)


def rows_stay_apart(recipe: Recipe) -> bool:
    """Whether what is computed of a row surely depends on that row alone, and on no random number."""
    template = recipe.stack.template
    if not recipe.loss.separable or has_dropout(template) or compiled_key(template, recipe.loss) is None:
        return False
    return not any(isinstance(layer, _BatchNorm) for layer in template.modules())


def _filled_up(batches: Tensor, rows: int) -> Tensor:
    """Batches with so many rows, the first one repeated: what overflows in it does so without the copies, too."""
    missing = rows - batches.shape[1]
    return batches if missing == 0 else torch.cat([batches, batches[:, :1].expand(-1, missing)], 1)


def _kept(recipe: Recipe) -> Kept:
    return Kept(
        [parameter.detach() for parameter in recipe.stack.parameters.values()],
        list(recipe.stack.buffers.values()),
        recipe.optimizer.states(),
    )


def _key(recipe: Recipe, rows: Split, batches: Tensor) -> str | None:
    """Under which a program of a step is kept; None where it depends on code that may change unseen."""
    recipe.stack.template.train()
    return compiled_key(
        recipe.stack.template,
        recipe.loss,
        (recipe.task.metric, recipe.task.sums),
        recipe.autocast,
        recipe.optimizer.described(),
        (recipe.gradient_clip, recipe.rates_differ, recipe.may_stop, recipe.rest),
        [(_kind(weight), weight.requires_grad) for weight in recipe.stack.parameters.values()],
        [_kind(buffer) for buffer in recipe.stack.buffers.values()],
        [{name: _kind(value) for name, value in state.items()} for state in recipe.optimizer.states()],
        (_kind(rows.inputs), _kind(rows.targets), batches.shape),
    )


def _kind(tensor: Tensor) -> tuple[Any, ...]:
    """What a program needs to know of a tensor of all members, or of all rows, but for how many they are."""
    return tensor.dim() > 0, tuple(tensor.shape[1:]), tensor.dtype


def compile_program(program: fx.GraphModule, key: str | None = None) -> Callable[..., Any]:
    """What torch's compiler makes of a program: at once where it is kept, else at its first call.

    Args:
        program: As it was traced.
        key: To keep it under; None: it is not kept.
    """
    if key is not None and not is_random(program):
        with suppress(Exception):  # what cannot be compiled ahead, or not be written: maybe it can be compiled
            return keep_program(program, key)
    # The generators of eager mode, so that dropout goes on in a resumed run with the numbers that it would have drawn.
    # And no trial programs, 5 s of them, on whether the C++ compiler knows what the processor can: else it says so.
    options: dict[str, Any] = {"fallback_random": True, "cpp.vec_isa_ok": True}
    if hasattr(torch._inductor.config, "deterministic"):
        # On a GPU it would time kernels, and take those that were quickest just then: other ones in the next run.
        options["deterministic"] = True
    return torch.compile(program.forward, fullgraph=True, dynamic=False, options=options)


def _lay_out(recipe: Recipe) -> None:
    """Let members be neighbours in all tensors that stay from step to step."""
    for tensor in (*recipe.stack.parameters.values(), *recipe.stack.buffers.values()):
        tensor.data = members_last(tensor.data)
    for state in recipe.optimizer.states():
        for tensor in state.values():
            if tensor.dim():
                tensor.data = members_last(tensor.data)


def _trace(recipe: Recipe, kept: Kept, given: Given) -> fx.GraphModule:
    """A step as a program of plain operations on all tensors of its arguments."""
    flat, structure = tree_flatten((kept, given))

    def step(*tensors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _step(recipe, *tree_unflatten(list(tensors), structure))

    with tracing():
        return make_fx(step, decomposition_table=TAKEN_APART, tracing_mode="fake")(*flat)


@contextmanager
def tracing() -> Iterator[None]:
    """Let torch's optimizers keep their step count in tensors, as where torch's compiler traces them."""
    before = torch.compiler._is_compiling_flag
    torch.compiler._is_compiling_flag = True
    try:
        yield
    finally:
        torch.compiler._is_compiling_flag = before


def _with_members_last(program: fx.GraphModule, arguments: list[Tensor]) -> fx.GraphModule:
    """The same program with members last inside and in what it returns; its arguments stay (members, …)."""

    def moved(*tensors: Tensor) -> list[Tensor]:
        given = [Last(tensor.movedim(0, -1)) if tensor.dim() else tensor for tensor in tensors]
        found = MembersLast(program).run(*given)
        return [one.value if isinstance(one, Last) else one.movedim(0, -1) for one in found]

    return make_fx(moved, tracing_mode="fake")(*arguments)


def _step(recipe: Recipe, kept: Kept, given: Given) -> tuple[Tensor, Tensor, Tensor]:
    """What the program does, in words that a tracer follows."""
    stack = recipe.stack
    stack.template.train()
    weights = [
        value.detach().requires_grad_(own.requires_grad)
        for value, own in zip(kept.parameters, stack.parameters.values(), strict=True)
    ]
    state = (
        dict(zip(stack.parameters, weights, strict=True)),
        dict(zip(stack.buffers, kept.buffers, strict=True)),
    )

    def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = call_with(stack.template, {**parameters, **buffers}, inputs)
        return outputs

    with recipe.autocast(), BatchNormApart():
        outputs = vmap(call, randomness="different")(*state, given.inputs)
    outputs = outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    losses = vmap(recipe.loss.function)(outputs, given.targets)
    rows: int | Tensor = losses.shape[1]
    if given.whole:
        counts = (torch.arange(losses.shape[1], device=losses.device) < recipe.rest) | given.whole[0]
        losses, rows = losses.where(counts, 0.0), torch.where(given.whole[0], losses.shape[1], recipe.rest)
    trained = [weight for weight in weights if weight.requires_grad]
    found = iter(torch.autograd.grad(losses.sum() / rows, trained, allow_unused=True))
    gradients = [next(found) if weight.requires_grad else None for weight in weights]
    there = [gradient for gradient in gradients if gradient is not None]
    with torch.no_grad():
        norms = gradient_norms(there)
        if recipe.gradient_clip is not None:
            clip_members(there, recipe.gradient_clip)
        stopped = given.stopped[0] if given.stopped else None
        recipe.optimizer.step_on(kept.parameters, gradients, kept.states, given.ratios, stopped)
        loss, of_score = losses.detach().sum(1), _score_sums(recipe, outputs.detach(), given)
    return _to_add(loss), _to_add(of_score), norms


def _to_add(sums: Tensor) -> Tensor:
    """In float64, in which they are added up: to convert them then takes three times as long as to add them."""
    return sums if sums.device.type == "mps" else sums.double()  # which Apple's GPUs do not have


def _score_sums(recipe: Recipe, outputs: Tensor, given: Given) -> Tensor:
    """What the score needs to know of the rows that count."""
    if not given.whole:
        return recipe.task.sums(outputs, given.targets)
    first, others = (
        recipe.task.sums(outputs[:, rows], given.targets[:, rows])
        for rows in (slice(recipe.rest), slice(recipe.rest, None))
    )
    return first + others.where(given.whole[0], 0)


def _largest_product(program: fx.GraphModule) -> int:
    """Multiplications of one member in the largest matrix product; more than any where something else is multiplied."""
    most = 0
    for node in program.graph.nodes:
        if node.target in (aten.bmm.default, aten.baddbmm.default):
            one, other = (given.meta["val"] for given in node.args[-2:])
            most = max(most, one.shape[1] * one.shape[2] * other.shape[2])
        elif node.target in (aten.mm.default, aten.addmm.default, aten.convolution.default):
            return SMALL_PRODUCT + 1
    return most
