"""The LightningModule that trains a cohort."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins import DoublePrecision
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

from initlab.base.threads import intra_op_threads, threads_of_loop
from initlab.cohort.engines import Engine, LoopEngine, VmapEngine, choose_engine
from initlab.cohort.optimizers import CohortOptimizer, clip_members, gradient_norms
from initlab.data.dataset import Dataset, Split
from initlab.data.module import InMemoryData
from initlab.data.tasks import TASKS, Task
from initlab.modules.stack import Stack, images_last
from initlab.tables.records import EpochRecord


@dataclass
class _Tally:
    """Sums over the rows of an epoch, in float64 on the CPU: not every device has it."""

    task: Task
    loss: Tensor | float = 0.0
    sums: Tensor | float = 0.0
    rows: int = 0
    gradient_norm: Tensor | None = None

    def add(self, outputs: Tensor, losses: Tensor, targets: Tensor) -> None:
        """Add rows to the sums.

        Args:
            outputs: Shape (members, rows, outputs).
            losses: Of each row, shape (members, rows).
            targets: What each member should have answered, shape (members, rows, …).
        """
        self.loss = self.loss + losses.sum(1).cpu().double()
        self.sums = self.sums + self.task.sums(outputs, targets)
        self.rows += targets.shape[1]

    def record(self, epoch: int, split: str) -> EpochRecord:
        """What was measured over the rows so far."""
        assert isinstance(self.loss, Tensor)
        assert isinstance(self.sums, Tensor)
        loss, score = self.loss / self.rows, self.task.score(self.sums, self.rows)
        values = {"loss": loss, "score": score.where(loss.isfinite(), torch.nan)}
        if self.gradient_norm is not None:
            values["gradient_norm"] = self.gradient_norm.cpu().double()
        return EpochRecord(epoch, split, values)


@dataclass(frozen=True)
class Training:
    """How a cohort trains.

    Attributes:
        optim: The `optim` group: `_target_` and its arguments; its `lr` is not used.
        learning_rates: One a member, in the order of the stack.
        gradient_clip: Largest Euclidean norm of a member's gradient over all its parameters; None: no limit.
        engine: `vmap`, `loop`, or `auto`, which leaves it to `choose_engine`.
        threads: CPU threads of the whole cohort. The loop engine on a CPU shares the members among them; elsewhere
            they work inside one operation.
    """

    optim: Mapping[str, Any]
    learning_rates: Sequence[float]
    gradient_clip: float | None = None
    engine: str = "auto"
    threads: int = 1


def _nothing() -> None:
    """Tell nobody."""


class CohortModule(pl.LightningModule):
    """Trains every member of a stack by its own gradient, and records what each epoch measured.

    Args:
        stack: Members with their initial weights, as `stack_members` makes them; these very parameters are trained.
        dataset: The rows that all members learn from; they move to the device with the members.
        training: Optimizer, learning rates, gradient limit, engine and threads.
    """

    def __init__(self, stack: Stack, dataset: Dataset, training: Training) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.history: list[EpochRecord] = []
        self.engine_name = ""
        self.task = TASKS[dataset.task]
        self._dataset, self._training = dataset, training
        self._template = [stack.template]  # in a list, so that Lightning does not take its weights for ours
        self._names = (list(stack.parameters), list(stack.buffers))
        self.parameter_stack = nn.ParameterList(stack.parameters.values())
        for position, buffer in enumerate(stack.buffers.values()):
            self.register_buffer(f"buffer_{position}", buffer)
        self._engine: Engine | None = None
        self._intra_op = training.threads
        self._tally = _Tally(self.task)
        self._random_states: dict[str, Tensor] | None = None
        self._started, self._seconds_before = time.perf_counter(), 0.0
        self.after_step: Callable[[], None] = _nothing  # told of each optimizer step: a block of them may take a minute

    @property
    def seconds(self) -> float:
        """Seconds since this module was made, and those before the checkpoint that it went on from."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def stack(self) -> Stack:
        """The members as they are now, on the module's device."""
        parameter_names, buffer_names = self._names
        buffers = [self.get_buffer(f"buffer_{position}") for position in range(len(buffer_names))]
        return Stack(
            self._template[0],
            dict(zip(parameter_names, self.parameter_stack, strict=True)),
            dict(zip(buffer_names, buffers, strict=True)),
        )

    def configure_optimizers(self) -> Optimizer:
        """Build the one optimizer over all stacked parameters."""
        self._place()
        self._optimizer = CohortOptimizer(
            self._training.optim, list(self.parameter_stack), self._training.learning_rates
        )
        return self._optimizer.torch_optimizer

    def _place(self) -> None:
        """Bring data, template and engine to the module's device; the optimizer must see the final memory layout."""
        dtype = self.parameter_stack[0].dtype
        self._template[0].to(device=self.device, dtype=dtype)
        self._splits = {name: self._on_device(getattr(self._dataset, name), dtype) for name in ("train", "val", "test")}
        sample = self._splits["train"].inputs[:2]
        self.engine_name = choose_engine(self._training.engine, self.stack, sample)
        plugin = self.trainer.precision_plugin
        # In 64-true Lightning's context sets torch's default dtype, which threads share; all tensors are double anyway.
        autocast = nullcontext if isinstance(plugin, DoublePrecision) else plugin.forward_context
        if self.engine_name == "vmap":
            self._engine = VmapEngine(self.stack, self.task.loss, autocast)
            return
        on_cpu = self.device.type == "cpu"
        if on_cpu:
            for parameter in self.parameter_stack:
                parameter.data = images_last(parameter.data)
        dropout = any(isinstance(layer, _DropoutNd) for layer in self._template[0].modules())
        members = self.stack.members
        threads = threads_of_loop(self._training.threads, members=members, one_queue=not on_cpu or dropout)
        self._intra_op = threads.intra_op
        self._engine = LoopEngine(self.stack, self.task.loss, autocast, workers=threads.workers)

    def own_threads(self) -> AbstractContextManager[None]:
        """A context in which an operation uses as many CPU threads as the cohort's engine leaves to it."""
        return intra_op_threads(self._intra_op)

    def _on_device(self, split: Split, dtype: torch.dtype) -> Split:
        targets = split.targets.to(self.device)
        return Split(split.inputs.to(self.device, dtype), targets.to(dtype) if targets.is_floating_point() else targets)

    @property
    def engine(self) -> Engine:
        """The engine; there is none before Lightning has set up the training."""
        assert self._engine is not None
        return self._engine

    def on_train_start(self) -> None:
        """Measure the untrained networks, epoch 0; or go on with the random numbers of a checkpoint."""
        if self._random_states is None:
            self._evaluate_all("val", epoch=0)
            return
        torch.default_generator.set_state(self._random_states["cpu"])
        if "cuda" in self._random_states and self.device.type == "cuda":
            torch.cuda.set_rng_state(self._random_states["cuda"], self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was measured, and where the random numbers of dropout stand."""
        states = {"cpu": torch.default_generator.get_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["initlab"] = {
            "history": [asdict(record) for record in self.history],
            "random_states": states,
            "seconds": self.seconds,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` has kept."""
        self.history = [EpochRecord(**record) for record in checkpoint["initlab"]["history"]]
        self._random_states = checkpoint["initlab"]["random_states"]
        self._seconds_before = checkpoint["initlab"]["seconds"]

    def training_step(self, block: Tensor, _: int) -> None:
        """Take a block of optimizer steps; `block` holds row indices, shape (steps, members, batch)."""
        rows = self._splits["train"]
        outputs, losses = [], []
        with self.own_threads():
            for step, batches in enumerate(block, start=1):
                step_outputs, step_losses = self.engine.gradients(rows, batches)
                outputs.append(step_outputs)
                losses.append(step_losses)
                if step == len(block):
                    self._tally.gradient_norm = gradient_norms(self._gradients())
                if self._training.gradient_clip is not None:
                    clip_members(self._gradients(), self._training.gradient_clip)
                self._optimizer.step()
                self.after_step()
            targets = rows.targets[block.transpose(0, 1).flatten(1)]
            self._tally.add(torch.cat(outputs, 1), torch.cat(losses, 1), targets)

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self.parameter_stack if parameter.grad is not None]

    def on_validation_epoch_start(self) -> None:
        """Close the training rows of the epoch before the validation rows are added up."""
        if self._tally.rows:
            self._record("train", epoch=self.current_epoch + 1)

    def validation_step(self, chunk: Tensor, _: int) -> None:
        """Evaluate all members on some validation rows, given by index."""
        self._evaluate("val", chunk)

    def on_validation_epoch_end(self) -> None:
        """Record the epoch's validation rows."""
        self._record("val", epoch=self.current_epoch + 1)

    def on_train_end(self) -> None:
        """Measure the trained networks on the test rows."""
        self._evaluate_all("test", epoch=self.current_epoch)

    def _evaluate_all(self, name: str, *, epoch: int) -> None:
        for chunk in self._data().chunks(len(self._splits[name])):
            self._evaluate(name, chunk.to(self.device))
        self._record(name, epoch=epoch)

    def _data(self) -> InMemoryData:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, InMemoryData)
        return data

    def _evaluate(self, name: str, chunk: Tensor) -> None:
        split = self._splits[name]
        with self.own_threads():
            outputs = self.engine.predict(split.inputs[chunk])
            targets = split.targets[chunk].unsqueeze(0)
            targets = targets.expand(len(outputs), *targets.shape[1:])
            losses = self.task.loss(outputs.flatten(0, 1), targets.flatten(0, 1)).view(targets.shape[:2])
            self._tally.add(outputs, losses, targets)

    def _record(self, split: str, *, epoch: int) -> None:
        self.history.append(self._tally.record(epoch, split))
        self._tally = _Tally(self.task)
