"""Filling the network of one member with its initial weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import OwnCodeError, RefusedError, UserError
from initlab.base.randomness import stream
from initlab.data.losses import Loss
from initlab.initializers import InitSpec, Surroundings, fill_model, find_scheme
from initlab.initializers.apply import OF_ROWS, Prepared, prepare
from initlab.initializers.init_report import Treatment
from initlab.jobs.data import JobData
from initlab.jobs.member import Member
from initlab.modules.batch import Batch
from initlab.modules.snapshot import Snapshot


def fill_network(
    model: nn.Module,
    member: Member,
    *,
    data: JobData,
    activation: Activation,
    loss: Loss,
    rows: int,
    changes: Snapshot | None = None,
) -> Mapping[str, Treatment]:
    """Fill a member's network in place.

    Args:
        model: The network, with the weights that its constructor gave it.
        member: Its initializer and its seed.
        data: What the member learns from, for initializers that look at it.
        activation: The nonlinearity of the network.
        loss: For initializers that look at gradients.
        rows: How many training rows an initializer looks at.
        changes: Is told of each parameter that the initializer fills.

    Returns:
        What was done to each parameter, by name, but for those that were left alone.

    Raises:
        RefusedError: the initializer does not fit the network.
        OwnCodeError: the initializer raised something in the user's own code.
    """
    with refusing():
        return fill_model(
            model,
            member.init,
            Surroundings(
                activation=activation,
                batch=batch_for(member, data, rows),
                loss=lambda outputs, targets: loss(outputs, targets).mean(),
                class_counts=_class_counts_for(member, data),
            ),
            seed=member.seed,
            snapshot=changes,
        )


def prepare_network(model: nn.Module, init: InitSpec, activation: Activation) -> Prepared | None:
    """A network made ready to be filled for one member after another, each time with the numbers of that member.

    Args:
        model: The network of one of the members.
        init: Their initializer.
        activation: The nonlinearity of the network.

    Returns:
        None where what is filled may depend on more than the structure and the seed: the initializer works on the
        network as a whole, or looks at data; or a weight is computed from others, whose own numbers matter.
    """
    scheme = find_scheme(init.scheme)
    if scheme.level == "model" or (OF_ROWS | {"classes"}) & {*scheme.needs}:
        return None
    with refusing():
        prepared = prepare(model, init, Surroundings(activation=activation))
    return None if any(slot.computed for slot in prepared.slots) else prepared


@contextmanager
def refusing() -> Iterator[None]:
    """Tell that an initializer does not fit the network as `RefusedError`, which does not stop other jobs."""
    try:
        yield
    except OwnCodeError:
        raise
    except UserError as error:
        raise RefusedError(str(error)) from error


def batch_for(member: Member, data: JobData, count: int) -> Batch | None:
    """Training rows of the member's own for an initializer that looks at data, drawn by its seed; None for others.

    Args:
        member: Its initializer and its seed.
        data: What it learns from.
        count: How many rows, or all if there are fewer.
    """
    if not OF_ROWS & {*find_scheme(member.init.scheme).needs}:
        return None
    rows = data.of_seed(member.seed).train
    chosen = torch.randperm(len(rows), generator=stream(member.seed, "rows to initialize by"))[:count]
    return Batch(rows.inputs[chosen], rows.targets[chosen])


def _class_counts_for(member: Member, data: JobData) -> Tensor | None:
    """How common classes are in the training rows of the member's own, for an initializer that needs them."""
    own = data.of_seed(member.seed) if "classes" in find_scheme(member.init.scheme).needs else None
    return None if own is None or own.classes is None else own.class_counts
