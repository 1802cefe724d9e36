"""Whether the activation that is chosen changes anything in a network: of the user's own, or with its own gates."""

import inspect
import json
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from initlab.config.names import NOT_IDENTITY, key_of, without_keys
from initlab.jobs.job import Job


def same_but_for_activation(jobs: Sequence[Job]) -> Mapping[str, str]:
    """Jobs whose members are those of a former job, though another activation was chosen for them.

    Args:
        jobs: They can train: their networks were built, and ran.

    Returns:
        By the name of each such job, why it is one: a reason in a line.
    """
    former: dict[str, Job] = {}
    networks: dict[str, bool] = {}
    members: dict[str, bool] = {}
    same: dict[str, str] = {}
    for job in jobs:
        if str(job.config.model["_target_"]).startswith("initlab.") and takes_activation(job):
            continue  # it makes their nonlinearities, as their contract says
        first = former.setdefault(_key(job, "activation", "optim.lr"), job)
        if first.config.activation == job.config.activation:
            continue
        network, member = _key(first, "init", "optim") + _key(job, "init", "optim"), _key(job, "optim.lr")
        if network not in networks:
            networks[network] = _same_network(first, job)
        if networks[network] and member not in members:
            members[member] = _same_numbers(*(one.build_member(one.member(one.config.seed)) for one in (first, job)))
        if networks[network] and members[member]:
            same[job.name] = f"{_why(job)}, so that it would train what activation={first.activation.name} trains"
    return same


def note_on_activation(job: Job) -> list[str]:
    """A note where an activation was typed, and the network does not take it."""
    typed = any(key_of(text).partition(".")[0] == "activation" for text in job.typed)
    if not typed or takes_activation(job):
        return []
    return [f"{_why(job)}: it tells initializers what to reckon with, and changes nothing in the network"]


def takes_activation(job: Job) -> bool:
    """Whether what builds a job's network is given the activation."""
    return "activation" in inspect.signature(job.network.build).parameters


def _why(job: Job) -> str:
    target = job.config.model["_target_"]
    if str(target).startswith("initlab."):
        return f"activation: model={job.config.model['name']} has nonlinearities of its own"
    how = "makes nothing of its argument activation" if takes_activation(job) else "takes no argument activation"
    return f"activation: model._target_={target} {how}"


def _key(job: Job, *others: str) -> str:
    """All that a job is, but for some keys."""
    return json.dumps(without_keys(job.resolved, {*NOT_IDENTITY, *others}), sort_keys=True)


def _same_network(first: Job, second: Job) -> bool:
    """Whether two jobs' networks, as torch initializes them, are written alike and give the same outputs."""
    built = []
    for job in (first, second):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            built.append(job.network.build())
    if str(built[0]) != str(built[1]) or not _same_numbers(*built):
        return False
    rows = first.dataset.train.inputs[:2]
    with torch.no_grad():
        ours, theirs = (model.eval()(rows) for model in built)
    return torch.equal(ours, theirs)


def _same_numbers(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = (dict([*model.named_parameters(), *model.named_buffers()]) for model in (first, second))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
