"""One run of the zoo: an architecture with a scheme or with the probe, and what came of it."""

import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import initlab
from initlab.base.errors import InitializationWarning, UserError
from scripts.zoo import oracles
from scripts.zoo.architecture import Architecture
from scripts.zoo.laws import LAWS
from scripts.zoo.maps import weights_of
from scripts.zoo.state import State, changes, put_back, state_of

PROBE: Final = "probe"
DRY: Final = "he/dry run"
# What the call is given, by the name that a run has in the table.
SCHEMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "he": {"scheme": "he"},
    "he/dry run": {"scheme": "he", "dry_run": True},
    "xavier": {"scheme": "xavier"},
    "orthogonal": {"scheme": "orthogonal"},
    "delta_orthogonal": {"scheme": "delta_orthogonal"},
    "mean_field": {"scheme": "mean_field"},
    "mean_field/relu": {"scheme": "mean_field", "activation": "relu"},
    "lsuv": {"scheme": "lsuv"},
    "data_dependent": {"scheme": "data_dependent"},
    "sparse": {"scheme": "sparse"},
    "metainit": {"scheme": "metainit", "steps": 2},
}
RUNS: Final = (*SCHEMES, PROBE)
SILENT: Final = 0.05  # the share of weights that may be left alone without a warning


@dataclass(frozen=True)
class Outcome:
    """What came of one run.

    Attributes:
        architecture: Its name.
        family: The row of the table in which it counts.
        run: A key of `SCHEMES`, or `"probe"`.
        outcome: `"ok"`, `"refused"`, `"traceback"`, `"changed"`, `"wrong weights"`, `"left in silence"`,
            `"false note"`, `"crashed"` or `"too long"`; the worst where there are several.
        faults: All that is wrong, as lines of kind and words.
        words: The refusal or the error, in one line.
        filled: Share of the numbers in weights that were filled; None where nothing was.
        seconds: How long the call took.
    """

    architecture: str
    family: str
    run: str
    outcome: str
    faults: tuple[str, ...] = ()
    words: str = ""
    filled: float | None = None
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """As plain data, for a line of JSON."""
        return asdict(self)


SEVERITY: Final = ("traceback", "changed", "wrong weights", "left in silence", "false note")


def runs_of(architecture: Architecture, wanted: tuple[str, ...]) -> Iterator[Outcome]:
    """Build an architecture, and try the wanted runs on it one after another, each from the same state."""
    model, start = None, None
    for run in wanted:
        if model is None or start is None or not put_back(start, model):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.manual_seed(0)
                model = architecture.build()
                batch = architecture.batch()
                model.eval()
                with torch.no_grad():  # some networks set themselves up at their first call
                    oracles.call(model, copied(batch))
            unsettle(model)
            start = state_of(model)
        yield try_run(architecture, run, model, batch, start)


@torch.no_grad()
def unsettle(model: nn.Module) -> None:
    """Give norms other numbers than they start from and modules mixed modes, so that a change of them shows."""
    model.train()
    for number, module in enumerate(model.modules()):
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm):
            for parameter in module.parameters(recurse=False):
                parameter.add_(0.1 + 0.01 * torch.arange(parameter.numel()).view_as(parameter).remainder(7))
            if getattr(module, "running_var", None) is not None:
                module.running_mean.add_(0.1)  # type: ignore[operator,union-attr]
                module.running_var.mul_(1.5)  # type: ignore[operator,union-attr]
        if number % 5 == 4 and not list(module.children()):
            module.training = False


def try_run(architecture: Architecture, run: str, model: nn.Module, batch: Any, start: State) -> Outcome:
    """One run on a network that is in its first state."""
    began, filled, words, faults = time.perf_counter(), None, "", []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if run == PROBE:
                table = initlab.probe_model(model, copied(batch), seed=0)
            else:
                report = initlab.initialize(model, **_arguments(run, batch), seed=1)
        except UserError as error:
            words = str(error)
            outcome = "refused"
            if "failed: " in words and "derivative" not in words:
                faults.append(("traceback", words))
            if "\n" in words:
                faults.append(("false note", f"a refusal of several lines: {words!r}"))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            words = f"{type(error).__name__}: {error} ({where.filename.rpartition('/')[2]}:{where.lineno})"
            words = words.replace("\n", " ")
            outcome = "traceback"
            faults.append(("traceback", words))
        else:
            outcome = "ok"
    seconds = time.perf_counter() - began
    warned = any(issubclass(each.category, InitializationWarning) for each in caught)
    if (outcome != "ok" or run == PROBE) and (changed := changes(start, model)):
        faults.append(("changed", "; ".join(changed)))
    if outcome == "ok" and run == PROBE:
        faults += probe_faults(model, table)
    elif outcome == "ok" and run == DRY:
        faults += dry_faults(model, report, start)
    elif outcome == "ok":
        if changed := changes(start, model, but=oracles.allowed(model, report)):
            faults.append(("changed", "; ".join(changed)))
        faults += oracles.faults_of(model, report, start, law=LAWS[run], warned=warned)
        if run in ("lsuv", "data_dependent"):
            faults += oracles.measured_faults(model, copied(batch), report)
        filled = 1 - oracles.share_left(model, report, start)[0]
    kinds = {kind for kind, _ in faults}
    outcome = next((kind for kind in SEVERITY if kind in kinds), outcome)
    lines = tuple(f"{kind}: {said}" for kind, said in faults)
    return Outcome(architecture.name, architecture.family, run, outcome, lines, words, filled, round(seconds, 3))


def _arguments(run: str, batch: Any) -> dict[str, Any]:
    """What `initialize` is called with."""
    arguments = dict(SCHEMES[run])
    if run in ("lsuv", "data_dependent"):
        arguments["batch"] = copied(batch)
    if run == "metainit":
        arguments |= {"batch": (copied(batch), torch.zeros(rows_of(batch))), "loss": oracles.mean_square}
    return arguments


def copied(batch: Any) -> Any:
    """A batch with tensors of its own."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, batch)


def rows_of(batch: Any) -> int:
    """How many rows a batch has."""
    first = batch
    while not isinstance(first, Tensor):
        first = next(iter(first.values() if isinstance(first, Mapping) else first))
    return len(first)


def dry_faults(model: nn.Module, report: Any, before: State) -> Iterator[tuple[str, str]]:
    """What is wrong with a dry run: it changes nothing, and says what the same call then does."""
    if changed := changes(before, model):
        yield "changed", "; ".join(changed)
    said = [(row.name, row.rule, row.fan_in, row.fan_out) for row in report]
    done = [(row.name, row.rule, row.fan_in, row.fan_out) for row in initlab.initialize(model, "he", seed=1)]
    for one, other in zip(said, done, strict=False):
        if one != other:
            yield "false note", f"a dry run says {one}, and {other} is done"
            return


def probe_faults(model: nn.Module, table: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with a probe's table: it has rows, and each weight is in it or named as unseen."""
    if not len(table):
        yield "false note", "the table has no rows"
    layers = {str(name).partition("#")[0] for name in table["layer"]}
    unseen = dict(table.attrs.get("unseen", {}))
    known = weights_of(model)
    missing = [
        name
        for name, parameter in model.named_parameters()
        if name in known
        and not any(alias in unseen or _layer_of(alias) in layers for alias in aliases(model, parameter))
        and not any(alias in unseen for alias in known[name].names)
    ]
    if missing:
        yield "false note", f"neither in the table nor unseen: {', '.join(missing[:3])} ({len(missing)})"


def aliases(model: nn.Module, parameter: nn.Parameter) -> list[str]:
    """All names of a parameter."""
    return [name for name, other in model.named_parameters(remove_duplicate=False) if other is parameter]


def _layer_of(parameter: str) -> str:
    """The name of the layer that a parameter is of, also where its weight is computed from it."""
    return parameter.rpartition(".")[0].partition(".parametrizations")[0]
