"""What is found out before anything trains."""

import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from initlab.base.errors import InitializationWarning, OwnCodeError, RefusedError, UserError, first_line
from initlab.base.importing import load
from initlab.base.own_code import own_fault
from initlab.base.threads import intra_op_threads
from initlab.cohort.optimizers import CohortOptimizer, check_optimizer
from initlab.cohort.schedules import Schedules
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.data.batches import steps_per_epoch
from initlab.initializers.coverage import coverage_of
from initlab.jobs.job import Job
from initlab.sweep.asking import Ask, ask_here
from initlab.sweep.naming import pool_seeds
from initlab.sweep.unchanged import note_on_activation, same_but_for_activation
from initlab.sweep.weights import check_weights

# Keys of a configuration on which it depends whether a job can be trained, whatever its network is.
TRAINED_BY: Final = ("optim", "scheduler", "logger", "trainer", "batch_size", "save", "data")


def distinct_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Drop jobs that occur twice, and pool those that differ in seeds alone, as `sweep.naming.pool_seeds` does.

    Raises:
        UserError: the jobs belong to several studies, or different ones would write to one folder.
    """
    if len({job.study_folder for job in jobs}) > 1:
        raise UserError("output_dir, name: a sweep writes to one folder; run one sweep for each")
    distinct: dict[str, Job] = {}
    for job in pool_seeds(jobs):
        former = distinct.setdefault(job.name, job)
        if former.resolved != job.resolved:
            raise UserError(f"{job.name}: several jobs would write to this folder; do not sweep where or how to run")
    return list(distinct.values())


@dataclass(frozen=True)
class Checked:
    """What was found out of some jobs before any of them trains.

    Attributes:
        usable: The jobs that can train.
        refused: For each reason why one cannot, the names of these jobs.
        faulty: By the name of each job in which code of the user's own raised something, what that was.
        notes: What a reader of the results must know of the networks.
    """

    usable: list[Job]
    refused: dict[str, list[str]]
    faulty: dict[str, OwnCodeError]
    notes: list[str]


def check_jobs(
    jobs: Sequence[Job],
    *,
    to_train: bool = True,
    took: Callable[[float], None] = lambda _: None,
    ask: Ask = ask_here,
) -> Checked:
    """Check all jobs, and leave out those whose initializer and network do not fit.

    A sweep over initializers and networks asks for some pairs that cannot work; these do not stop the others. Of jobs
    that differ in nothing but learning rate and seeds, one is checked for all. Where an activation changes nothing, the
    jobs of one activation stay.

    Args:
        jobs: Those of one command.
        to_train: Whether they are to be trained, and not only looked at.
        took: Told of the seconds that it took to check a job, of each that can work.
        ask: Whom to ask what takes what trains.

    Raises:
        UserError: a job cannot work for any other reason.
    """
    usable: list[Job] = []
    refused: dict[str, list[str]] = {}
    faulty: dict[str, OwnCodeError] = {}
    notes: list[str] = []
    checked: dict[str, str | OwnCodeError | None] = {}
    trainable: set[str] = set()
    for job in jobs:
        key = json.dumps(without_keys(job.resolved, {*NOT_IDENTITY, "optim.lr"}), sort_keys=True)
        if key not in checked:
            checked[key] = None
            began = time.perf_counter()
            try:
                trained_by = json.dumps({group: job.resolved.get(group) for group in TRAINED_BY}, sort_keys=True)
                if not to_train:
                    check_probing(job)
                elif trained_by not in trainable:
                    ask(check_training, [job])
                    trainable.add(trained_by)
                notes += check_network(job)
                took(time.perf_counter() - began)
            except OwnCodeError as error:
                checked[key] = error
            except RefusedError as refusal:
                checked[key] = str(refusal)
        reason = checked[key]
        if reason is None:
            usable.append(job)
        elif isinstance(reason, OwnCodeError):
            faulty[job.name] = reason
        else:
            refused.setdefault(reason, []).append(job.name)
    same = same_but_for_activation(usable)
    for name, why in same.items():
        refused.setdefault(why, []).append(name)
    usable = [job for job in usable if job.name not in same]
    return Checked(usable, refused, faulty, list(dict.fromkeys(notes)))


def check_job(job: Job) -> list[str]:
    """Check one job that is to be trained: `check_training`, and `check_network`, whose notes are returned."""
    check_training([job])
    return check_network(job)


def check_training(jobs: Sequence[Job]) -> None:
    """See that jobs can be trained, whatever their networks are.

    Raises:
        UserError: members cannot share the optimizer; the schedule, the loggers, the trainer or the device cannot be
            had; or weights are to be kept, and cannot be written.
    """
    for job in jobs:
        check_optimizer(job.config.optim)
        if job.scheduler:
            _check_schedule(job)
        check_weights(job)
        _check_logger(job)
        _check_trainer(job)


def check_probing(job: Job) -> None:
    """The same of a job that is only looked at: what trains and logs is not even imported, which takes seconds.

    Raises:
        UserError: as `check_training` raises it.
    """
    check_optimizer(job.config.optim, to_train=False)
    check_weights(job)
    if job.config.trainer.accelerator not in ("auto", "cpu"):
        _check_trainer(job)


def check_network(job: Job) -> list[str]:
    """Load the data, build one member and send two rows through it, so that what cannot work fails before training.

    Returns:
        Notes on what works, and is probably not what was meant.

    Raises:
        RefusedError: the initializer does not fit the network.
        OwnCodeError: code of the user's own raised something: the network, the initializer, or what loads the data.
        UserError: data cannot be had, the model does not fit them, or the initializer fills less than half of its
            weights.
    """
    data = job.dataset
    rows = data.train.inputs[:2]
    notes = _notes_on_scaling(job)
    _check_tokens(job)
    try:
        # One thread: what is built here is thrown away, and steps on small tensors wait for each other's cores.
        with intra_op_threads(1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InitializationWarning)  # given where the member is built to train
                model, treatments = job.fill_member(job.members()[0])
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                model(rows[: job.config.batch_size])  # as it trains: batch norm, for one, refuses a single row
                model.eval()
                outputs = model(rows)
    except UserError:
        raise
    except Exception as error:  # whatever the user's network or parameters bring about
        what = f"model: building and running it on rows of shape {data.input_shape} failed"
        raise own_fault(error, what) or UserError(f"{what}: {type(error).__name__}: {error}") from error
    if not isinstance(outputs, torch.Tensor):
        raise UserError(
            f"model._target_={job.config.model['_target_']}: expected a tensor of outputs, got {type(outputs).__name__}"
        )
    _check_outputs(job, outputs)
    notes += [*_note_on_coverage(model, treatments), *note_on_activation(job), *_note_on_order(job)]
    if data.classes is not None and _are_probabilities(outputs):
        notes.append(
            "model: its outputs are probabilities (they sum to 1), and cross entropy expects logits: leave the softmax "
            "out"
        )
    return notes


def _check_logger(job: Job) -> None:
    load("initlab.tracking.loggers")
    from initlab.tracking.loggers import check_logger

    check_logger(job.config.logger)


def _check_trainer(job: Job) -> None:
    """See that there is the trainer that a job asks for.

    Raises:
        UserError: it cannot be had, or takes no such argument.
    """
    load("initlab.cohort.run")
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from initlab.cohort.run import build_trainer

    try:
        build_trainer(job, [])
    except (MisconfigurationException, ImportError, ValueError) as error:  # by what it is that it does not know
        raise UserError(f"trainer: {first_line(error)}") from error


def _notes_on_scaling(job: Job) -> list[str]:
    """Notes on learning rates by muP without what belongs to them.

    Raises:
        RefusedError: the rates cannot follow the width of the network.
    """
    if not job.network.rate_factors or job.network.scaling != "mup":
        return []
    notes = []
    if job.init.scheme not in ("mup", "zeros") and (job.init.output is None or job.init.output.scheme != "zeros"):
        notes.append(
            f"optim.scaling=mup: goes with init=mup; with init={job.init.scheme} the outputs at the start do not "
            "shrink with the width"
        )
    heads = job.network.wider_heads
    if heads is not None and job.config.model.get("attention_scale") != "mup":
        notes.append(
            f"optim.scaling=mup: heads of attention have {heads[0]} numbers, {heads[1]} at the base width, and scores "
            "over √d grow with them; set model.attention_scale=mup, or more heads"
        )
    return notes


def _check_tokens(job: Job) -> None:
    """See that a network of initlab's own can read the tokens of the data, if it has any.

    Raises:
        RefusedError: it multiplies its inputs, which stand for something else.
    """
    own = str(job.config.model["_target_"]).startswith("initlab.")
    if own and job.dataset.vocabulary is not None and not job.network.reads_steps:
        raise RefusedError(
            f"model={job.config.model['name']}: takes numbers, and data={job.config.data['name']} has tokens, numbers "
            "that stand for something; use model=rnn, lstm, gru or gpt"
        )


def _check_outputs(job: Job, outputs: torch.Tensor) -> None:
    """See that a network answers as it is asked: once a row, or at each step.

    Raises:
        RefusedError: it is one of initlab's own, which gives one answer a row, and there is to be one a step.
        UserError: the outputs have another shape than expected.
    """
    data, rows = job.dataset, len(outputs)
    before = (rows, data.input_shape[0]) if data.task == "sequence" else (rows,)
    path = f"model._target_={job.config.model['_target_']}"
    if data.task == "sequence" and outputs.dim() == 2 and not job.network.reads_steps:
        raise RefusedError(
            f"model={job.config.model['name']}: gives one answer a row, and data={job.config.data['name']} asks for "
            "one at each step; use model=rnn, lstm, gru or gpt"
        )
    # Logits that belong to no class are allowed, as some published networks have them.
    fits = tuple(outputs.shape[:-1]) == before and outputs.shape[-1] >= data.outputs
    if not fits or (outputs.shape[-1] > data.outputs and not data.classes):
        expected = ", ".join(map(str, (*before, data.outputs)))
        raise UserError(f"{path}: expected outputs of shape ({expected}) for {rows} rows, got {tuple(outputs.shape)}")


def _note_on_order(job: Job) -> list[str]:
    """A note on a network that does not know that its inputs have an order, where they have one."""
    if not job.dataset.sequential or job.network.reads_steps:
        return []
    return [
        f"model={job.config.model['name']}: takes the {job.dataset.input_shape[0]} steps of data="
        f"{job.config.data['name']} as one input, without their order; rnn, lstm, gru and gpt read them one by one"
    ]


def _note_on_coverage(model: nn.Module, treated: Collection[str]) -> list[str]:
    """A note on weights that the initializer leaves as they are, if there are any.

    Raises:
        UserError: these are more than half of all.
    """
    found = coverage_of(model, treated)
    if not found.left:
        return []
    if not found.enough:
        raise UserError(
            f"model: {found}: too few to compare initializers by; say what these are in a method initlab_weights() of "
            "the module that holds them, as initlab.models describes it"
        )
    return [f"model: {found}; a method initlab_weights() of the module that holds them can name them"]


def _are_probabilities(outputs: torch.Tensor) -> bool:
    """Whether all rows are in [0, 1] and sum to 1, as behind a softmax."""
    values = outputs.detach().double()
    sums = values.sum(-1)
    return outputs.shape[-1] > 1 and bool((values >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all())


def _check_schedule(job: Job) -> None:
    """See that the learning rates of a job can follow its schedule.

    Raises:
        UserError: the schedule cannot be imported, or refuses its arguments.
    """
    assert job.scheduler is not None
    rate, rows = job.learning_rate, len(job.dataset.train)
    optimizer = CohortOptimizer(job.config.optim, [torch.zeros(1, requires_grad=True)], [rate])
    Schedules(
        job.scheduler,
        optimizer.stand_in,
        [rate],
        steps_per_epoch=steps_per_epoch(rows, job.config.batch_size),
        epochs=job.config.trainer.max_epochs,
    )


def prepare_folder(folder: Path) -> None:
    """Make a folder and see that it can be written.

    Raises:
        UserError: it cannot be made or written, because of its permissions or a full disk, say.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A name that nobody else has: hosts that share a disk may have the same process ids. What a kill leaves is
        # removed with all partial files.
        handle, trial = tempfile.mkstemp(dir=folder, prefix=".writable-", suffix=".partial")
        os.close(handle)
        Path(trial).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"output_dir: cannot write {folder} ({error.strerror}); set output_dir=DIR") from error
