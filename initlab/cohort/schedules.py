"""Learning rates that change while a cohort trains: a schedule for each member, on its own rate."""

import copy
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from initlab.base.errors import UserError, first_line
from initlab.config.calls import check_call, import_target

Interval = Literal["step", "epoch"]
# What a schedule is given if it has a parameter of this name and the configuration says nothing: the length of the
# training in its intervals, the steps of an epoch, and the member's own rate.
SUPPLIED = ("optimizer", "steps", "steps_per_epoch", "epochs", "total_steps", "total_iters", "T_max", "max_lr")


def cosine(
    optimizer: Optimizer, *, steps: int, steps_per_epoch: int, warmup: float = 0.0, end: float = 0.0
) -> LambdaLR:
    """Half a cosine from the rate down to `end` times it, at the last of all steps.

    Args:
        optimizer: Whose rate it is.
        steps: Optimizer steps of the whole training.
        steps_per_epoch: Of them in an epoch.
        warmup: Epochs in which the rate rises from 0 to itself before.
        end: Share of the rate after the last step.
    """
    return _lambda(
        optimizer, steps, steps_per_epoch, warmup, lambda x: end + (1 - end) * (1 + math.cos(math.pi * x)) / 2
    )


def linear(
    optimizer: Optimizer, *, steps: int, steps_per_epoch: int, warmup: float = 0.0, end: float = 0.0
) -> LambdaLR:
    """A straight line from the rate to `end` times it; the arguments are those of `cosine`."""
    return _lambda(optimizer, steps, steps_per_epoch, warmup, lambda x: 1 + (end - 1) * x)


def step(
    optimizer: Optimizer, *, steps_per_epoch: int, every: int = 10, factor: float = 0.1, warmup: float = 0.0
) -> LambdaLR:
    """The rate times `factor` every few epochs.

    Args:
        optimizer: Whose rate it is.
        steps_per_epoch: Optimizer steps in an epoch.
        every: Epochs, counted from the beginning.
        factor: What the rate is multiplied by.
        warmup: Epochs in which the rate rises from 0 to itself before.
    """
    if every < 1:
        raise ValueError(f"every={every}: expected a whole number of epochs of at least 1")
    return LambdaLR(
        optimizer,
        lambda now: _warm(now, warmup * steps_per_epoch) * factor ** (now // steps_per_epoch // every),
    )


def exponential(optimizer: Optimizer, *, steps_per_epoch: int, factor: float = 0.95, warmup: float = 0.0) -> LambdaLR:
    """The rate times `factor` every epoch, step by step; the arguments are those of `step`."""
    return LambdaLR(optimizer, lambda now: _warm(now, warmup * steps_per_epoch) * factor ** (now / steps_per_epoch))


def _lambda(
    optimizer: Optimizer, steps: int, steps_per_epoch: int, warmup: float, shape: Callable[[float], float]
) -> LambdaLR:
    rise = warmup * steps_per_epoch
    if rise >= steps:
        raise ValueError(f"warmup={warmup}: expected fewer epochs than the {steps / steps_per_epoch:g} of the training")
    return LambdaLR(optimizer, lambda now: _warm(now, rise) if now < rise else shape((now - rise) / (steps - rise)))


def _warm(now: int, rise: float) -> float:
    """The share of the rate in a step, counted from 0: the first of a rise is not 0, so that it is of use."""
    return min(1.0, (now + 1) / (rise + 1)) if rise else 1.0


class Schedules:
    """The schedules of a cohort: one for each different learning rate, or for each member where it looks at a loss.

    Each acts on a stand-in, an optimizer like the members' over nothing, so that any of torch's serves, and a member's
    rate is the one that it would have alone.

    Args:
        config: The `scheduler` group: `_target_` and its arguments, and `interval`.
        stand_in: Makes an optimizer like the members' with a learning rate.
        learning_rates: One a member, in the order of the stack.
        steps_per_epoch: Optimizer steps in an epoch.
        epochs: Of the whole training.

    Raises:
        UserError: it cannot be imported, or refuses its arguments.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        stand_in: Callable[[float], Optimizer],
        learning_rates: Sequence[float],
        *,
        steps_per_epoch: int,
        epochs: int,
    ) -> None:
        path = config["_target_"]
        build = import_target(path, where="scheduler")
        declared = inspect.signature(build).parameters
        ours = getattr(build, "__module__", "") == __name__
        self.interval: Interval = "step" if ours else config.get("interval") or "epoch"
        if self.interval not in ("step", "epoch"):
            raise UserError(f"scheduler.interval={self.interval}: expected step or epoch")
        arguments = {key: value for key, value in config.items() if key not in ("name", "_target_", "interval")}
        supplied = [name for name in SUPPLIED if name in declared and name not in arguments]
        check_call(build, arguments, where="scheduler", supplied=supplied)
        length = epochs * (steps_per_epoch if self.interval == "step" else 1)
        known = {"steps": epochs * steps_per_epoch, "steps_per_epoch": steps_per_epoch, "epochs": epochs}
        if "total_steps" in declared:  # torch's OneCycleLR takes either its length or epochs and their steps
            known = {}
        known |= {"total_steps": length, "T_max": length}
        if declared.get("total_iters") is not None and declared["total_iters"].default is inspect.Parameter.empty:
            known["total_iters"] = length
        known = {name: value for name, value in known.items() if name in supplied}
        self._watching = inspect.isclass(build) and issubclass(build, ReduceLROnPlateau)
        if self._watching:
            self.interval = "epoch"
        distinct = list(dict.fromkeys(learning_rates))
        self._rates = list(learning_rates) if self._watching else distinct
        self._place = (
            torch.arange(len(learning_rates))
            if self._watching
            else torch.tensor([distinct.index(rate) for rate in learning_rates])
        )
        self._stand_ins = [stand_in(rate) for rate in self._rates]
        try:
            self._schedules: list[LRScheduler] = [
                build(optimizer, **({"max_lr": rate} if "max_lr" in supplied else {}), **known, **arguments)
                for optimizer, rate in zip(self._stand_ins, self._rates, strict=True)
            ]
        except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError) as error:
            raise UserError(f"scheduler: {path} refuses this: {first_line(error)}") from error

    def rates(self) -> Tensor:
        """Each member's learning rate as it is now, shape (members,), float64, on the CPU."""
        rates = [float(optimizer.param_groups[0]["lr"]) for optimizer in self._stand_ins]
        return torch.tensor(rates, dtype=torch.float64)[self._place]

    def other_settings(self) -> dict[str, Any]:
        """What else a schedule moves, such as the momentum of a cycle: the same for all members."""
        group = self._stand_ins[0].param_groups[0]
        return {key: group[key] for key in ("momentum", "betas") if key in group}

    @property
    def moves_more(self) -> bool:
        """Whether a schedule moves more than the rates; tried on a copy."""
        tried = copy.deepcopy(self)
        tried.advance(torch.zeros(len(self._place)))
        return tried.other_settings() != self.other_settings()

    def advance(self, losses: Tensor | None = None) -> None:
        """Move on by an interval.

        Args:
            losses: Each member's validation loss, shape (members,), for a schedule that looks at it.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the order of steps, and of a schedule that is at its end
            for place, (optimizer, schedule) in enumerate(zip(self._stand_ins, self._schedules, strict=True)):
                optimizer.step()
                if self._watching:
                    assert losses is not None
                    schedule.step(float(losses[place]))  # type: ignore[arg-type]
                else:
                    schedule.step()

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return [
            {"schedule": schedule.state_dict(), "group": _plain(optimizer.param_groups[0])}
            for schedule, optimizer in zip(self._schedules, self._stand_ins, strict=True)
        ]

    def load_state(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Take up what a checkpoint has kept."""
        for kept, schedule, optimizer in zip(state, self._schedules, self._stand_ins, strict=True):
            schedule.load_state_dict(dict(kept["schedule"]))
            optimizer.param_groups[0].update(kept["group"])


def _plain(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}
