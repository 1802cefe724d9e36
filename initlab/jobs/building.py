"""Building a job's networks, without drawing what its initializer writes over."""

import time
from collections.abc import Mapping, MutableMapping, Sequence

from torch import nn

from initlab.initializers.apply import Prepared, fill_prepared
from initlab.initializers.init_report import Treatment
from initlab.jobs.filling import prepare_network, refusing
from initlab.jobs.job import Job
from initlab.jobs.member import Member
from initlab.modules.drawing import Draws, address, drawing_nothing, fills_its_memory
from initlab.modules.snapshot import Changes
from initlab.modules.stack import Network, Numbers, numbers_of


def build_members(
    job: Job, members: Sequence[Member], *, seconds: MutableMapping[int, float] | None = None
) -> list[Network]:
    """Build members' networks with their initial weights, the same numbers as `Job.build_member` gives each.

    Constructors of layers draw random numbers, which takes about as long as an initializer does. The first network
    shows where: if only into parameters that the initializer fills, so that nothing else depends on them, then the
    others are constructed without; or not at all, where it is sure that they would be like the first, which is then
    filled for one member after another.

    Args:
        job: The job that they belong to.
        members: One or more.
        seconds: As `Job.fill_member` fills it.

    Raises:
        UserError: as `Job.fill_member` raises it.
    """
    if len(members) < 3:  # noting what is drawn takes as long as drawing it
        return [job.fill_member(member, seconds=seconds)[0] for member in members]
    changes, draws = Changes(), Draws()
    first, treatments = job.fill_member(members[0], within=draws.noted(), changes=changes, seconds=seconds)
    filled = _filled(first, treatments, changes)
    if draws.only_in({address(first.get_parameter(name)) for name in filled}):
        prepared = _for_all(job, first, filled, changes)
        if prepared is not None:
            return [numbers_of(first), *(_filled_again(prepared, member, seconds) for member in members[1:])]
        return [first, *(_undrawn(job, member, filled, seconds) for member in members[1:])]
    return [first, *(job.fill_member(member, seconds=seconds)[0] for member in members[1:])]


def _for_all(job: Job, model: nn.Module, filled: frozenset[str], changes: Changes) -> Prepared | None:
    """The first network, ready to be filled for each member; None where that may leave other numbers than a new one.

    Constructors of the user's own may count, or draw in a way that torch does not see; initlab's do not.

    Args:
        job: The job.
        model: Its first network, drawn only where it was filled.
        filled: Names of the parameters whose every number was written over.
        changes: What was written to at all.
    """
    touched = {name for name, parameter in model.named_parameters() if id(parameter) in changes.changed}
    if not str(job.config.model["_target_"]).startswith("initlab.") or not touched <= filled:
        return None
    return prepare_network(model, job.init, job.activation)


def _filled_again(prepared: Prepared, member: Member, seconds: MutableMapping[int, float] | None) -> Numbers:
    """The numbers of a member, for which a network is filled that others have been filled in."""
    began = time.process_time()
    with refusing():
        fill_prepared(prepared, seed=member.seed)
    if seconds is not None:
        seconds[member.seed] = time.process_time() - began
    return numbers_of(prepared.model)


def _undrawn(
    job: Job, member: Member, expected: frozenset[str], seconds: MutableMapping[int, float] | None
) -> nn.Module:
    """A network that was constructed without drawing; as usual after all, if its initializer fills less of it."""
    changes = Changes()
    model, treatments = job.fill_member(member, within=drawing_nothing(), changes=changes, seconds=seconds)
    return model if expected <= _filled(model, treatments, changes) else job.build_member(member)


def _filled(model: nn.Module, treatments: Mapping[str, Treatment], changes: Changes) -> frozenset[str]:
    """Names of the parameters whose every number was written over, whatever it was."""
    return frozenset(
        name
        for name, parameter in model.named_parameters()
        if id(parameter) in changes.changed
        and name in treatments
        and not treatments[name].left
        and ".parametrizations." not in f".{name}"  # what these compute may depend on what was there
        and fills_its_memory(parameter)
    )
