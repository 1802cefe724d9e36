"""Two ways to send a cohort through its network, with the same result: all members at once, or one after another."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from math import prod
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd
from torch.utils.flop_counter import FlopCounterMode

from initlab.base.errors import UserError
from initlab.base.threads import start_worker
from initlab.cohort.batch_norm import BatchNormApart
from initlab.data.dataset import Split
from initlab.data.losses import Loss
from initlab.data.tasks import cross_entropy
from initlab.modules.calling import call_with
from initlab.modules.measuring import measuring
from initlab.modules.stack import Stack

# Floating-point operations of a batch on its way forth from which on a member works alone. One thread, 8 transformers
# of width 64: vmap takes .8 of the loop's time at 1.2e8, and 1.1 to 1.25 of it at 4.8e8.
LARGE_STEP: Final = 3e8
# Of all members that are evaluated together: what a layer of 400 classic_wine networks gives for 320 rows each is more
# than a processor keeps near, or a process between two evaluations, and takes up to twice the time.
ROWS_TOGETHER: Final = 2**16

Autocast = Callable[[], AbstractContextManager[None]]


class Engine(Protocol):
    """Forward and backward passes over a stack of members."""

    def gradients(self, rows: Split, batches: Tensor) -> tuple[Tensor, Tensor]:
        """Set the gradient of each stacked parameter: each member's part is that of its own mean loss.

        Args:
            rows: All training rows, on the device that trains.
            batches: Indices of the rows that each member sees, shape (members, batch), int64.

        Returns:
            Outputs, shape (members, batch, outputs), and losses of the rows, shape (members, batch): both as they are
            before the update, detached, float32 or float64.
        """

    def predict(self, inputs: Tensor, *, own: bool = False) -> Tensor:
        """Send rows through all members in evaluation mode: outputs of shape (members, rows, outputs).

        Args:
            inputs: The same rows for all members, shape (rows, …); or each member's own, shape (members, rows, …).
            own: Whether they are each member's own.
        """


class VmapEngine:
    """All members at once, through `torch.func.vmap`: best for small networks, and on GPUs.

    Args:
        stack: The members, on the device that trains; their stacked parameters get the gradients.
        loss: Loss of each row, shape (rows,), from outputs (rows, outputs) and targets (rows, …).
        autocast: Makes the context of a forward pass: Lightning's, which sets its precision.
    """

    def __init__(self, stack: Stack, loss: Loss, autocast: Autocast) -> None:
        self._stack, self._loss = stack, loss
        on_gpu = next(iter(stack.parameters.values())).is_cuda
        apart = on_gpu and any(isinstance(layer, _BatchNorm) for layer in stack.template.modules())
        self._forward = _both(autocast, BatchNormApart) if apart else autocast
        self._per_member = vmap(self._call, in_dims=(0, 0, 0), randomness="different")

    def _call(self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        outputs: Tensor = call_with(self._stack.template, {**parameters, **buffers}, inputs)
        return outputs

    def gradients(self, rows: Split, batches: Tensor) -> tuple[Tensor, Tensor]:
        """See `Engine.gradients`."""
        stack = self._stack
        _set_training(stack.template, True)
        for parameter in stack.parameters.values():
            parameter.grad = None
        # After a compiled step members are neighbours in memory, and vmap would write what layers keep into copies.
        buffers = {name: buffer.contiguous() for name, buffer in stack.buffers.items()}
        with self._forward():
            outputs = _at_least_float(self._per_member(stack.parameters, buffers, rows.inputs[batches]))
        for name, buffer in stack.buffers.items():
            if buffers[name] is not buffer:
                buffer.copy_(buffers[name])
        # The sum over members, so that each member's gradient is its own.
        losses = self._loss.of_members(outputs, rows.targets[batches])
        (losses.sum() / batches.shape[1]).backward()
        return outputs.detach(), losses.detach()

    @torch.no_grad()
    def trace(self, inputs: Tensor) -> None:
        """Send the same rows through all members in training mode, and leave the buffers as they were.

        Raises:
            RuntimeError: vmap cannot trace the model, because it branches on what its inputs hold, say.
        """
        _set_training(self._stack.template, True)
        buffers = {name: buffer.clone() for name, buffer in self._stack.buffers.items()}
        # A batch for each member, as in training: data-dependent branches show with inputs that differ.
        self._per_member(self._stack.parameters, buffers, inputs.expand(self._stack.members, *inputs.shape))

    @torch.no_grad()
    def predict(self, inputs: Tensor, *, own: bool = False) -> Tensor:
        """See `Engine.predict`."""
        _set_training(self._stack.template, False)
        rows = inputs.shape[1] if own else inputs.shape[0]
        chunk = max(1, ROWS_TOGETHER // max(rows, 1))
        call = vmap(self._call, in_dims=(0, 0, 0 if own else None), chunk_size=chunk, randomness="different")
        # Members that are neighbours in memory, as after a compiled step, would be sorted again for each product.
        weights = {name: weight.contiguous() for name, weight in self._stack.parameters.items()}
        with self._forward():
            return _at_least_float(call(weights, self._stack.buffers, inputs))


class LoopEngine:
    """Members one after another: best for convolutions on a CPU, and for models that vmap cannot trace.

    Each member is an ordinary module whose parameters, gradients and buffers are views of the stacked ones, so that
    one optimizer serves all.

    Args:
        stack: The members, on the device that trains; their stacked parameters get the gradients.
        loss: Loss of each row, shape (rows,), from outputs (rows, outputs) and targets (rows, …).
        autocast: Makes the context of a forward pass: Lightning's, which sets its precision.
        workers: Threads that share the members. Unlike threads inside an operation they hardly wait for each other.
    """

    def __init__(self, stack: Stack, loss: Loss, autocast: Autocast, *, workers: int = 1) -> None:
        self._stack, self._loss, self._autocast = stack, loss, autocast
        self._gradients = {name: torch.zeros_like(parameter) for name, parameter in stack.parameters.items()}
        self._networks = [self._network(member) for member in range(stack.members)]
        self._workers = min(workers, stack.members)
        self._pool = ThreadPoolExecutor(self._workers, initializer=start_worker)
        # A parameter that no loss depends on has no gradient, rather than one of zero that weight decay would act on.
        self._used: set[str] = set()
        self._watches = [
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: self._used.add(name))
            for name, parameter in self._networks[0].named_parameters()
            if parameter.requires_grad
        ]

    def _network(self, member: int) -> nn.Module:
        network = copy.deepcopy(self._stack.template)
        for name, parameter in network.named_parameters():
            parameter.data = self._stack.parameters[name].detach()[member]
            if parameter.requires_grad:
                parameter.grad = self._gradients[name][member]
        for name, buffer in network.named_buffers():
            buffer.data = self._stack.buffers[name][member]
        return network

    def _each_member(self, work: Callable[[int], Tensor]) -> Tensor:
        """Call `work(member)` for every member, and stack what it returns."""
        if self._workers == 1:
            return torch.stack([work(member) for member in range(self._stack.members)])

        def share(worker: int) -> list[Tensor]:
            return [work(member) for member in range(worker, self._stack.members, self._workers)]

        results: list[Tensor] = [torch.empty(0)] * self._stack.members
        for worker, part in enumerate(self._pool.map(share, range(self._workers))):
            results[worker :: self._workers] = part
        return torch.stack(results)

    def _forward(self, member: int, inputs: Tensor, *, training: bool) -> Tensor:
        network = self._networks[member]
        _set_training(network, training)
        if inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with self._autocast():  # autocast is local to a thread
            return _at_least_float(network(inputs))

    def gradients(self, rows: Split, batches: Tensor) -> tuple[Tensor, Tensor]:
        """See `Engine.gradients`."""
        for gradient in self._gradients.values():
            gradient.zero_()
        losses = torch.empty(batches.shape, dtype=_result_dtype(self._stack), device=batches.device)

        def work(member: int) -> Tensor:
            batch = batches[member]
            outputs = self._forward(member, rows.inputs[batch], training=True)
            loss = self._loss(outputs, rows.targets[batch])
            loss.mean().backward()
            losses[member] = loss.detach()
            return outputs.detach()

        outputs = self._each_member(work)
        torch.clear_autocast_cache()  # where autocast is on around several steps it would keep this one's weights
        while self._watches:  # the first backward pass told
            self._watches.pop().remove()
        for name, parameter in self._stack.parameters.items():
            parameter.grad = self._gradients[name] if name in self._used else None
        return outputs, losses

    def predict(self, inputs: Tensor, *, own: bool = False) -> Tensor:
        """See `Engine.predict`."""

        def work(member: int) -> Tensor:
            with torch.no_grad():
                return self._forward(member, inputs[member] if own else inputs, training=False)

        return self._each_member(work)


def choose_engine(requested: str, stack: Stack, sample: Tensor, *, batch: int = 1) -> str:
    """Choose the engine of a cohort: `vmap` or `loop`.

    Args:
        requested: `vmap`, `loop`, or `auto`: loop on a CPU for members that `work_alone`, for torch's recurrent layers,
            whose fused kernels vmap calls member by member, and for models that vmap cannot trace; else vmap.
        stack: The members, on the device that trains.
        sample: A few rows to try vmap with, shape (rows, *input_shape), on the same device.
        batch: How many rows a member sees in a step.

    Raises:
        UserError: `vmap` was requested for a model that it cannot trace.
    """
    if requested == "loop":
        return "loop"
    if requested == "auto" and sample.device.type == "cpu" and work_alone(stack.template, sample, batch=batch):
        return "loop"
    if requested == "auto" and any(isinstance(layer, nn.RNNBase) for layer in stack.template.modules()):
        return "loop"
    try:
        VmapEngine(stack, Loss(cross_entropy), torch.no_grad).trace(sample)
    except RuntimeError as error:
        if requested == "auto":
            return "loop"
        reason = str(error).split("\n")[0]
        raise UserError(f"engine=vmap: this model cannot be vectorized ({reason}); use engine=loop") from error
    return "vmap"


def work_alone(model: nn.Module, sample: Tensor, *, batch: int) -> bool:
    """Whether members of such a model do better one after another on a CPU.

    So do convolutions, as vmap's grouped ones are slow there; and those whose every step keeps a core busy, as a
    transformer's on long sequences: then vmap has nothing to save, and moves more memory.

    Args:
        model: One of the members.
        sample: A few rows, shape (rows, *input_shape).
        batch: How many rows it sees in a step.
    """
    if has_convolutions(model):
        return True
    # Counting takes a while, and seconds the first time. A layer's weight acts at least once on a row, and at most once
    # at each place of it; attention adds about as much.
    dense = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    if is_large_step(2 * dense * batch):
        return True
    most = 4 * sum(parameter.numel() for parameter in model.parameters()) * prod(sample.shape[1:]) * batch
    return is_large_step(most) and is_large_step(flops_of_row(model, sample) * batch)


def is_large_step(flops: float) -> bool:
    """Whether a batch takes so many floating-point operations on its way forth that a member works alone."""
    return flops > LARGE_STEP


def flops_of_row(model: nn.Module, sample: Tensor) -> float:
    """Floating-point operations of a row on its way through a model; 0 where they cannot be counted.

    Args:
        model: The network; it stays as it is, and so does torch's random state.
        sample: A few rows, shape (rows, *input_shape).
    """
    with measuring(model), torch.no_grad(), FlopCounterMode(display=False) as counter, contextlib.suppress(Exception):
        model(sample)
    return float(counter.get_total_flops()) / len(sample)


def has_convolutions(model: nn.Module) -> bool:
    """Whether a model has a convolution of any kind, transposed ones included."""
    return any(isinstance(layer, _ConvNd) for layer in model.modules())


def has_dropout(model: nn.Module) -> bool:
    """Whether a model has dropout of any kind, whose numbers come from one stream, in one order."""
    return any(isinstance(layer, _DropoutNd) for layer in model.modules())


def _set_training(module: nn.Module, training: bool) -> None:
    """Switch to training or evaluation mode, if the module is in the other: the switch walks all its parts."""
    if module.training != training:
        module.train(training)


def _both(one: Autocast, other: Autocast) -> Autocast:
    @contextlib.contextmanager
    def both() -> Iterator[None]:
        with one(), other():
            yield

    return both


def _result_dtype(stack: Stack) -> torch.dtype:
    return next(iter(stack.parameters.values())).dtype


def _at_least_float(outputs: Tensor) -> Tensor:
    return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
