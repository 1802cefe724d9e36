"""The LightningModule that trains a cohort."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins import DoublePrecision
from torch import Tensor, nn
from torch.optim import Optimizer

from initlab.base.threads import intra_op_threads, threads_of_loop
from initlab.cohort.engines import Engine, LoopEngine, VmapEngine, choose_engine, has_dropout
from initlab.cohort.optimizers import CohortOptimizer, spared_parameters
from initlab.cohort.recipe import Recipe, Rows, Sums
from initlab.cohort.schedules import Schedules
from initlab.cohort.steps import Steps, is_worth_compiling
from initlab.cohort.stopping import Stopping
from initlab.cohort.tally import Tally
from initlab.config.schema import EarlyStoppingConfig
from initlab.data.batches import MOST_KEPT, rest_of_epoch
from initlab.data.dataset import Split
from initlab.data.losses import Loss
from initlab.data.module import InMemoryData
from initlab.data.stacked import StackedData
from initlab.data.tasks import TASKS
from initlab.modules.stack import Stack, images_last
from initlab.tables.records import EpochRecord


@dataclass(frozen=True)
class Training:
    """How a cohort trains.

    Attributes:
        optim: The `optim` group: `_target_` and its arguments; its `lr` is not used.
        learning_rates: One a member, in the order of the stack.
        rate_factors: Of each member, by a parameter's name what its learning rate is multiplied by; where a name is
            missing, nothing. Empty: of no member.
        gradient_clip: Largest Euclidean norm of a member's gradient over all its parameters; None: no limit.
        engine: `vmap`, `loop`, or `auto`, which leaves it to `choose_engine`.
        compile: Whether a step is one compiled program, or `auto`, which leaves it to `is_worth_compiling`.
        loss: What each member's mean over its rows is trained on; None: the task's own.
        scheduler: The `scheduler` group: `_target_` and its arguments; None: the learning rates stay.
        stopping: When a member stops early.
        may_end: Whether training may end as soon as all members have stopped; else it goes through all epochs.
        cohorts: How many cohorts like this one the command trains.
        threads: CPU threads of the whole cohort. The loop engine on a CPU shares the members among them; elsewhere
            they work inside one operation.
    """

    optim: Mapping[str, Any]
    learning_rates: Sequence[float]
    rate_factors: Sequence[Mapping[str, float]] = ()
    gradient_clip: float | None = None
    engine: str = "auto"
    compile: bool | Literal["auto"] = False
    cohorts: float = 1
    threads: int = 1
    loss: Loss | None = None
    scheduler: Mapping[str, Any] | None = None
    stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    may_end: bool = True


SPLITS: Final = ("train", "val", "test")


def _nothing() -> None:
    """Tell nobody."""


class CohortModule(pl.LightningModule):
    """Trains every member of a stack by its own gradient, and records what each epoch measured.

    Args:
        stack: Members with their initial weights, as `stack_members` makes them; these very parameters are trained.
        data: The rows that the members learn from; they move to the device with the members.
        training: Optimizer, learning rates, gradient limit, engine and threads.
    """

    def __init__(self, stack: Stack, data: StackedData, training: Training) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.history: list[EpochRecord] = []
        self.engine_name = ""
        self.test_scores: Tensor | None = None  # what each test row scores, once they are trained: (members, rows)
        self.task = TASKS[data.task]
        self.loss = training.loss or Loss(self.task.loss)
        self.data, self._training = data, training
        self._stopping = None if training.stopping.patience is None else Stopping(training.stopping, stack.members)
        self._schedules: Schedules | None = None
        self._kept_schedules: list[dict[str, Any]] | None = None
        self._template = [stack.template]  # in a list, so that Lightning does not take its weights for ours
        self._names = (list(stack.parameters), list(stack.buffers))
        self.parameter_stack = nn.ParameterList(stack.parameters.values())
        for position, buffer in enumerate(stack.buffers.values()):
            self.register_buffer(f"buffer_{position}", buffer)
        self._engine: Engine | None = None
        self._intra_op = training.threads
        self._tally = Tally(self.task)
        self._row_errors: list[Tensor] = []
        self._random_states: dict[str, Tensor] | None = None
        self._started, self._seconds_before = time.perf_counter(), 0.0
        self.leaves_gradients = False  # in `grad`, after the last step of the first epoch and of the last
        self.after_step: Callable[[], None] = _nothing  # told of each optimizer step: a block of them may take a minute

    @property
    def seconds(self) -> float:
        """Seconds since this module was made, and those before the checkpoint that it went on from."""
        return self._seconds_before + time.perf_counter() - self._started

    @property
    def compiled(self) -> bool:
        """Whether its steps are one compiled program."""
        return self._steps.compiled

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
        training = self._training
        spared: list[int] = []
        if training.optim.get("decay", "all") == "weights":
            names = spared_parameters(self._template[0])
            spared = [place for place, name in enumerate(self._names[0]) if name in names]
        factors = None
        if any(training.rate_factors):
            factors = [[own.get(name, 1.0) for own in training.rate_factors] for name in self._names[0]]
        self._optimizer = CohortOptimizer(
            training.optim, list(self.parameter_stack), training.learning_rates, spared=spared, factors=factors
        )
        if training.scheduler:
            self._schedules = Schedules(
                training.scheduler,
                self._optimizer.stand_in,
                training.learning_rates,
                steps_per_epoch=self._data().steps_per_epoch,
                epochs=self.trainer.max_epochs or 1,
            )
            self._follow_schedules()
        self._steps = self._build_steps()
        return self._optimizer.torch_optimizer

    def _build_steps(self) -> Steps:
        training, data, moves = self._training, self._data(), self._schedules
        recipe = Recipe(
            self.stack,
            self.loss,
            self.task,
            self._autocast,
            self._optimizer,
            gradient_clip=training.gradient_clip,
            rates_differ=self._optimizer.rates_differ or moves is not None,
            may_stop=self._stopping is not None,
            rest=rest_of_epoch(self.data.rows("train"), self._batch_size()),
        )
        worth = is_worth_compiling(
            training.compile,
            engine=self.engine_name,
            stack=self.stack,
            sample=self._splits["train"].inputs[:2],
            steps=data.steps_per_epoch * (self.trainer.max_epochs or 1),
            cohorts=training.cohorts,
        )
        can = moves is None or not moves.moves_more
        return Steps(recipe, self.engine, compile=worth and can, batch=self._batch_size())

    def _follow_schedules(self) -> None:
        assert self._schedules is not None
        self._optimizer.set_rates(self._schedules.rates(), self._schedules.other_settings())

    def _place(self) -> None:
        """Bring data, template and engine to the module's device; the optimizer must see the final memory layout."""
        dtype = self.parameter_stack[0].dtype
        self._template[0].to(device=self.device, dtype=dtype)
        self._splits = {name: self._on_device(getattr(self.data, name), dtype) for name in SPLITS}
        starts = {name: self.data.starts(name) for name in SPLITS}
        self._starts = {name: None if start is None else start.to(self.device) for name, start in starts.items()}
        sample = self._splits["train"].inputs[:2]
        self.engine_name = choose_engine(self._training.engine, self.stack, sample, batch=self._batch_size())
        plugin = self.trainer.precision_plugin
        # In 64-true Lightning's context sets torch's default dtype, which threads share; all tensors are double anyway.
        autocast = nullcontext if isinstance(plugin, DoublePrecision) else plugin.forward_context
        self._autocast = autocast
        if self.engine_name == "vmap":
            self._engine = VmapEngine(self.stack, self.loss, autocast)
            return
        on_cpu = self.device.type == "cpu"
        if on_cpu:
            for parameter in self.parameter_stack:
                parameter.data = images_last(parameter.data)
        one_queue = not on_cpu or has_dropout(self._template[0])
        threads = threads_of_loop(self._training.threads, members=self.stack.members, one_queue=one_queue)
        self._intra_op = threads.intra_op
        self._engine = LoopEngine(self.stack, self.loss, autocast, workers=threads.workers)

    def _batch_size(self) -> int:
        return min(self._data().batch_size, self.data.rows("train"))

    def own_threads(self) -> AbstractContextManager[None]:
        """A context in which an operation uses as many CPU threads as the cohort's engine leaves to it."""
        return intra_op_threads(self._intra_op)

    def _on_device(self, split: Split, dtype: torch.dtype) -> Split:
        tensors = (split.inputs.to(self.device), split.targets.to(self.device))
        return Split(*(values.to(dtype) if values.is_floating_point() else values for values in tensors))

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
        self._steps.go_on()
        if self._schedules is not None and self._kept_schedules is not None:
            self._schedules.load_state(self._kept_schedules)
            self._follow_schedules()
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
        if self._schedules is not None:
            checkpoint["initlab"]["schedules"] = self._schedules.state()
        if self._stopping is not None:
            checkpoint["initlab"]["stopping"] = self._stopping.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what `on_save_checkpoint` has kept."""
        self.history = [EpochRecord(**record) for record in checkpoint["initlab"]["history"]]
        self._random_states = checkpoint["initlab"]["random_states"]
        self._seconds_before = checkpoint["initlab"]["seconds"]
        self._kept_schedules = checkpoint["initlab"].get("schedules")
        if self._stopping is not None:
            self._stopping.load_state(checkpoint["initlab"]["stopping"])

    def training_step(self, block: Tensor, _: int) -> None:
        """Take a block of optimizer steps; `block` holds row indices, shape (steps, members, batch)."""
        rows = self._splits["train"]
        block = self._steps.arranged(self._own_rows("train", block))
        given: list[tuple[Rows, Tensor]] = []
        with self.own_threads(), self._stopped_stay() as stopped:
            for step, batches in enumerate(block, start=1):
                last = step == len(block)
                taken = self._steps.take(
                    rows, batches, stopped, measure=last, leave_gradients=last and self._is_to_leave_gradients()
                )
                if isinstance(taken.measured, Sums):
                    self._tally.add_sums(taken.measured.loss, taken.measured.of_score, batches.shape[1])
                else:
                    given.append((taken.measured, batches))
                if last:
                    self._tally.gradient_norm = None if taken.norms is None else taken.norms.clone()
                if self._schedules is not None and self._schedules.interval == "step":
                    self._schedules.advance()
                    self._follow_schedules()
                self.after_step()
                if given and (last or len(given) * given[0][0].outputs[0].numel() >= MOST_KEPT):
                    self._add_rows(given)
                    given = []

    def _is_to_leave_gradients(self) -> bool:
        """Whether the gradients of this block's last step are wanted; if members stop early, any epoch may be last."""
        if not self.leaves_gradients or not self.trainer.is_last_batch:
            return False
        return self._stopping is not None or self.current_epoch in (0, (self.trainer.max_epochs or 0) - 1)

    def _add_rows(self, given: list[tuple[Rows, Tensor]]) -> None:
        """Add up steps together: of small cohorts a call for each would take longer than what it adds."""
        outputs = torch.cat([rows.outputs for rows, _ in given], 1)
        losses = torch.cat([rows.losses for rows, _ in given], 1)
        seen = torch.cat([batches for _, batches in given], 1)
        self._tally.add(outputs, losses, self._splits["train"].targets[seen])

    def _own_rows(self, name: str, rows: Tensor) -> Tensor:
        """Places among all rows of a split: indices into a member's own rows, shape (…, rows), from where these start.

        Returns:
            The indices as they are where all members have the same rows; else shape (…, members, rows).
        """
        starts = self._starts[name]
        return rows if starts is None else rows + starts

    @contextmanager
    def _stopped_stay(self) -> Iterator[Tensor | None]:
        """A context that gives which members have stopped, None if none has, and puts their buffers back at its end."""
        if self._stopping is None or not bool(self._stopping.stopped.any()):
            yield None
            return
        stopped = self._stopping.stopped.to(self.device)
        buffers = list(self.stack.buffers.values())
        kept = [buffer[stopped].clone() for buffer in buffers]
        yield stopped
        for buffer, values in zip(buffers, kept, strict=True):
            buffer[stopped] = values

    def on_validation_epoch_start(self) -> None:
        """Close the training rows of the epoch before the validation rows are added up."""
        if self._tally.rows:
            self._record("train", epoch=self.current_epoch + 1)

    def validation_step(self, chunk: Tensor, _: int) -> None:
        """Evaluate all members on some validation rows, given by index."""
        self._evaluate("val", chunk)

    def on_validation_epoch_end(self) -> None:
        """Record the epoch's validation rows; learning rates follow their schedules, and members may stop."""
        self._record("val", epoch=self.current_epoch + 1)
        if self._schedules is not None and self._schedules.interval == "epoch":
            self._schedules.advance(self.history[-1].values["loss"])
            self._follow_schedules()
        if self._stopping is not None:
            self._stopping.see(self.history[-1])
            if self._training.may_end and bool(self._stopping.stopped.all()):
                self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """Measure the trained networks on the test rows; where all have stopped, their last values are repeated."""
        last = {record.split: record for record in self.history}
        for epoch in range(self.history[-1].epoch + 1, (self.trainer.max_epochs or 0) + 1):
            self.history += [EpochRecord(epoch, split, last[split].values) for split in ("train", "val")]
        self._row_errors = []
        self._evaluate_all("test", epoch=self.history[-1].epoch)
        targets = self._targets("test", torch.arange(self.data.rows("test"), device=self.device))
        self.test_scores = self.task.row_scores(torch.cat(self._row_errors, 1), targets)
        self._row_errors = []

    @property
    def epochs(self) -> list[int]:
        """How many epochs each member has trained."""
        every = self.history[-1].epoch
        if self._stopping is None:
            return [every] * self.stack.members
        return [epoch or every for epoch in self._stopping.epochs.tolist()]

    def _evaluate_all(self, name: str, *, epoch: int) -> None:
        for chunk in self._data().chunks(self.data.rows(name)):
            self._evaluate(name, chunk.to(self.device))
        self._record(name, epoch=epoch)

    def _data(self) -> InMemoryData:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, InMemoryData)
        return data

    def _evaluate(self, name: str, chunk: Tensor) -> None:
        inputs = self._splits[name].inputs[self._own_rows(name, chunk)]
        with self.own_threads():
            outputs = self.engine.predict(inputs, own=self.data.which is not None)
            targets = self._targets(name, chunk)
            losses = self.loss.of_members(outputs, targets)
            self._tally.add(outputs, losses, targets)
            if name == "test":
                self._row_errors.append(self.task.errors(outputs, targets))

    def _targets(self, name: str, rows: Tensor) -> Tensor:
        """What each member should answer to some of its rows of a split, shape (members, rows, …)."""
        targets = self._splits[name].targets[self._own_rows(name, rows)]
        return targets if self.data.which is not None else targets.expand(self.stack.members, *targets.shape)

    def _record(self, split: str, *, epoch: int) -> None:
        record = self._tally.record(epoch, split)
        if self._stopping is not None and split != "test":
            former = next((one for one in reversed(self.history) if one.split == split), None)
            record = record if former is None else self._stopping.carried(record, former)
        self.history.append(record)
        self._tally = Tally(self.task)
