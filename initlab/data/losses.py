"""The loss that networks are trained on: by name, or a function or class that the configuration names."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import vmap

from initlab.base.errors import UserError, first_line, nearest
from initlab.config.calls import check_call, conforms, import_target
from initlab.data.dataset import NO_TARGET, Dataset
from initlab.data.tasks import TASKS, by_steps

Function = Callable[[Tensor, Tensor], Tensor]
TRIED_ROWS: Final = 3


@dataclass(frozen=True)
class Loss:
    """A loss to train on.

    Called with outputs, shape (rows, outputs), or (rows, steps, outputs) of sequences, and targets, it gives the loss
    of each row, shape (rows,); their mean is what a network is trained on.

    Attributes:
        function: What computes it.
        separable: Whether a row's loss depends on that row alone. Else it is a mean over rows, which each of them gets,
            and the rows of different members must not be mixed.
    """

    function: Function
    separable: bool = True

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each row."""
        return self.function(outputs, targets)

    def of_members(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The losses of all members' rows, shape (members, rows).

        Args:
            outputs: Shape (members, rows, …, outputs).
            targets: Shape (members, rows, …).
        """
        if self.separable:
            return self.function(outputs.flatten(0, 1), targets.flatten(0, 1)).view(targets.shape[:2])
        if len(outputs) == 1:
            return self.function(outputs[0], targets[0]).unsqueeze(0)
        try:
            return vmap(self.function)(outputs, targets)
        except RuntimeError:  # it branches on what its arguments hold, say
            return torch.stack([self.function(*pair) for pair in zip(outputs, targets, strict=True)])


def build_loss(config: Mapping[str, Any], dataset: Dataset) -> Loss:
    """Make the loss of a `loss` group.

    Args:
        config: `name` or `_target_`, and arguments; empty: the task's own, cross entropy or the squared error.
        dataset: The data that it is for: its task, its classes, and how common these are among the training rows.

    Raises:
        UserError: an unknown name, an argument that it does not take, or a loss that does not suit the data.
    """
    arguments = {key: value for key, value in config.items() if key not in ("name", "_target_")}
    if config.get("_target_") is not None:
        return _own_loss(config["_target_"], arguments, dataset)
    name = str(config.get("name", "auto"))
    if name == "auto":
        name = "cross_entropy" if dataset.classes else "mse"
    if name not in LOSSES:
        raise UserError(f"loss={name}: unknown loss; {nearest(name, LOSSES)}; loss._target_ names one of your own")
    if not dataset.classes:
        given = {key: value for key, value in arguments.items() if value not in (None, 0.0)}
        if name not in FOR_NUMBERS:
            raise UserError(f"loss={name}: is for classes, and the data has numbers to fit; known: mse, mae, huber")
        if wrong := sorted(given.keys() - {"delta"}):
            raise UserError(f"loss.{wrong[0]}={given[wrong[0]]}: is for classes, and the data has numbers to fit")
    plain = all(value in (None, 0.0) for value in arguments.values())
    if plain and name == ("mse" if dataset.classes is None else "cross_entropy"):
        return Loss(TASKS[dataset.task].loss)
    weights = class_weights(arguments.pop("class_weights", None), dataset)
    smoothing = arguments.get("label_smoothing", 0.0)
    if not conforms(smoothing, float) or not 0 <= smoothing < 1:
        raise UserError(f"loss.label_smoothing={smoothing}: expected a share in [0, 1)")
    delta = arguments.get("delta", 1.0)
    if not conforms(delta, float) or not delta > 0:
        raise UserError(f"loss.delta={delta}: expected a positive number")
    known = {key: value for key, value in arguments.items() if key in inspect.signature(LOSSES[name]).parameters}
    if foreign := sorted(arguments.keys() - known.keys()):
        raise UserError(f"loss.{foreign[0]}: unknown key; loss={name} has no such argument")
    if weights is not None:
        known["weights"] = weights
    function = partial(LOSSES[name], **known)
    return Loss(by_steps(function) if dataset.task == "sequence" else function)


def class_weights(given: str | Sequence[float] | None, dataset: Dataset) -> Tensor | None:
    """How much each class counts, shape (classes,); None if all count the same.

    Args:
        given: `"balanced"`: rows / (classes × rows of the class) of the training rows; or a number for each class.
        dataset: The data with these classes.

    Raises:
        UserError: another number of weights than there are classes, or a weight that is not positive.
    """
    if given is None:
        return None
    classes = dataset.classes or 0
    if given == "balanced":
        counts = dataset.class_counts
        if not bool((counts > 0).all()):
            raise UserError("loss.class_weights=balanced: a class has no training row")
        return (counts.sum() / (classes * counts)).float()
    if not conforms(given, Sequence[float]):
        raise UserError(f"loss.class_weights={given}: expected balanced, or a list with a number for each class")
    if len(given) != classes or not all(float(one) > 0 for one in given):
        shown = str(list(given)).replace(" ", "")
        raise UserError(f"loss.class_weights={shown}: expected {classes} positive numbers, one for each class")
    return torch.tensor([float(one) for one in given])


def _cross_entropy(
    outputs: Tensor, targets: Tensor, *, weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Torch's cross entropy of each row; its mean is over the rows, and not divided by the batch's weights."""
    return F.cross_entropy(
        outputs,
        targets,
        weight=None if weights is None else _for_outputs(weights, outputs),
        label_smoothing=label_smoothing,
        reduction="none",
    )


def _nll(outputs: Tensor, targets: Tensor, *, weights: Tensor | None = None) -> Tensor:
    weight = None if weights is None else _for_outputs(weights, outputs)
    return F.nll_loss(outputs, targets, weight=weight, reduction="none")


def _bce(outputs: Tensor, targets: Tensor, *, weights: Tensor | None = None) -> Tensor:
    losses = F.binary_cross_entropy_with_logits(outputs, _numbers(outputs, targets), reduction="none").mean(1)
    return losses if weights is None else losses * weights.to(outputs)[targets]


def _hinge(outputs: Tensor, targets: Tensor, *, weights: Tensor | None = None) -> Tensor:
    """Torch's `multi_margin_loss`, whose own backward pass has no derivative, which some schemes look at."""
    right = outputs.gather(1, targets.unsqueeze(1))
    others = F.one_hot(targets, outputs.shape[1]) == 0
    losses = ((1 - right + outputs).clamp(min=0) * others).sum(1) / outputs.shape[1]
    return losses if weights is None else losses * weights.to(outputs)[targets]


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - _numbers(outputs, targets)).square().mean(1)


def _mae(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - _numbers(outputs, targets)).abs().mean(1)


def _huber(outputs: Tensor, targets: Tensor, *, delta: float = 1.0) -> Tensor:
    return F.huber_loss(outputs, _numbers(outputs, targets), delta=delta, reduction="none").mean(1)


def _numbers(outputs: Tensor, targets: Tensor) -> Tensor:
    """Targets like the outputs: classes become rows of 0 and 1."""
    return targets if targets.dim() > 1 else F.one_hot(targets, outputs.shape[1]).to(outputs)


def _for_outputs(weights: Tensor, outputs: Tensor) -> Tensor:
    """Weights for all outputs; those that belong to no class count 1."""
    return F.pad(weights.to(outputs), (0, outputs.shape[1] - len(weights)), value=1.0)


LOSSES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "cross_entropy": _cross_entropy,
        "nll": _nll,
        "bce": _bce,
        "hinge": _hinge,
        "mse": _mse,
        "mae": _mae,
        "huber": _huber,
    }
)
FOR_NUMBERS: Final = ("mse", "mae", "huber")


def _own_loss(path: object, arguments: Mapping[str, Any], dataset: Dataset) -> Loss:
    """A function of outputs and targets, or a class that makes one.

    Raises:
        UserError: it cannot be imported or called, or gives neither one number nor one a row.
    """
    where = f"loss._target_={path}"
    named = import_target(path, where="loss")
    try:
        parameters = inspect.signature(named).parameters
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: no function of outputs and targets, nor a class ({first_line(error)})") from error
    supplied = () if inspect.isclass(named) else tuple(list(parameters)[:2])  # whatever it calls them
    check_call(named, arguments, where="loss", supplied=supplied, choice=where)
    if "reduction" in parameters and "reduction" not in arguments:
        arguments = {**arguments, "reduction": "none"}
    if "weight" in arguments and isinstance(arguments["weight"], list | tuple):
        arguments = {**arguments, "weight": torch.tensor([float(one) for one in arguments["weight"]])}
    try:
        made: Any = named(**arguments) if inspect.isclass(named) else partial(named, **arguments)
        call: Function = made
        # Another number than there are outputs: one loss for each output must not pass for one for each row.
        rows = min(TRIED_ROWS + (dataset.outputs == TRIED_ROWS), len(dataset.train))
        outputs = torch.zeros(rows, dataset.outputs).log_softmax(1)
        targets = dataset.train.targets[:rows]
        if dataset.task == "sequence":  # it is called with all steps as rows
            targets = targets.flatten()[:rows].clamp(min=0)
        found = _on_device(call, outputs)(outputs, targets)
    except Exception as error:  # whatever the user's function brings about
        raise UserError(f"{where}: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(found, Tensor) or (found.dim() and len(found) != rows):
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{where}: expected one loss, or one for each of {rows} rows, got {shape}")
    function = partial(_by_rows, call)
    if dataset.task != "sequence":
        return Loss(function, separable=found.dim() > 0)
    if found.dim() == 0 and bool((dataset.train.targets == NO_TARGET).any()):
        raise UserError(f"{where}: gives one loss for all steps, and some steps have no target; expected one a step")
    return Loss(by_steps(function), separable=found.dim() > 0)


def _on_device(call: Function, like: Tensor) -> Function:
    """A loss whose own tensors, such as class weights, are where the outputs are."""
    return call.to(like.device) if isinstance(call, nn.Module) else call


def _by_rows(call: Function, outputs: Tensor, targets: Tensor) -> Tensor:
    """What a loss gives as one number a row: entries of a row are averaged, and a mean over rows is each row's."""
    found = _on_device(call, outputs)(outputs, targets)
    return found.flatten(1).mean(1) if found.dim() > 1 else found.expand(len(targets)) if found.dim() == 0 else found
