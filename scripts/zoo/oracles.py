"""What must hold of a network after an initializer or the probe, computed in ways that are not the library's own."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from scripts.zoo.laws import Law, normal_law, orthogonal_law
from scripts.zoo.maps import Weight, embeddings_of, weights_of
from scripts.zoo.maps import rows as as_rows
from scripts.zoo.state import State, equal_bits, names_of

# What has two dimensions or more and is no linear map: places, tokens, tables, the states of state space models.
TABLE: Final = re.compile(
    r"pos_|position|token|table|query|latent|probe|embed|A_log|rel_|relative|attention_bias|codevector|time_|"
    r"layer_scale|logit_scale|gamma|gain$|bias|\.D$|freqs|duplicate_pooling|width_rel|height_rel|ls\d?$|scale$|memory|alpha$"
)


def faults_of(model: nn.Module, report: Any, before: State, *, law: Law, warned: bool) -> Iterator[tuple[str, str]]:
    """What is wrong after an initializer, as pairs of kind and words.

    Args:
        model: The network, initialized.
        report: What `initlab.initialize` returned.
        before: The network's state before.
        law: What is wrong with matrices, shape (blocks, outputs, inputs), for a reading; empty if nothing.
        warned: Whether there was a warning of what is left alone.
    """
    rows = {row.name: row for row in report}
    weights, embeddings, parameters = weights_of(model), embeddings_of(model), names_of(model)
    filled = {name for name, row in rows.items() if row.fan_in is not None}
    for name in filled:
        if name in weights:
            wrong = _law_of(weights[name], rows[name], law)
        elif name in embeddings:
            wrong = _embedding(parameters[name].detach(), embeddings[name], rows[name])
        else:
            wrong = "filled, and no linear map that is known here"
        if wrong:
            yield "wrong weights", f"{name} ({rows[name].rule}): {wrong}"
    for name, row in rows.items():
        if wrong := _claim(parameters.get(name), row, weights.get(name)):
            yield "false note", f"{name}: {wrong}"
    yield from _names(report, parameters)
    yield from _twins({name: parameters[name].detach() for name in filled & set(parameters)})
    yield from _left(model, report)
    share, left = share_left(model, report, before)
    if share > 0.05 and not warned:
        yield "left in silence", f"{share:.0%} of the weights: {', '.join(left[:3])}"
    for name, module in model.named_modules():
        if wrong := norm_fault(module, {row.rule for row in rows.values() if row.name.rpartition(".")[0] == name}):
            yield "wrong weights", f"{name} ({type(module).__name__}): {wrong}"


def share_left(model: nn.Module, report: Any, before: State) -> tuple[float, list[str]]:
    """Share of the numbers in a network's weights that nobody filled, and the names of these weights.

    Tables, such as those of places, and what is frozen do not count; nor do norms.
    """
    parameters = names_of(model)
    treated = {id(parameters[row.name]) for row in report if row.fan_in is not None and row.name in parameters}
    written = {id(p) for name, p in parameters.items() if not equal_bits(p.detach(), before.tensors[name])}
    norms = {id(p) for m in model.modules() if "Norm" in type(m).__name__ for p in m.parameters(recurse=False)}
    known = {id(parameters[name]) for name in (*weights_of(model), *embeddings_of(model)) if name in parameters}
    total, left, names = 0, 0, []
    for name, parameter in model.named_parameters():
        table = is_vector(parameter) or TABLE.search(".".join(name.split(".")[-2:]))
        counts = id(parameter) in known or not table
        if parameter.dim() < 2 or not counts or not parameter.requires_grad or id(parameter) in norms:
            continue
        total += parameter.numel()
        if id(parameter) not in treated | written:
            left += parameter.numel()
            names.append(name)
    return (left / total if total else 0.0), names


def is_vector(values: Tensor) -> bool:
    """Whether a tensor has at most one dimension above 1, as a token or a gain of each channel has."""
    return sum(size > 1 for size in values.shape) < 2


def allowed(model: nn.Module, report: Any) -> frozenset[str]:
    """Names of what an initializer may change: what it says that it did, tied names too, and norms' statistics.

    What is frozen it may not, nor the statistics of a norm whose weight is frozen.
    """
    parameters = names_of(model)
    rows = [row for row in report if row.rule and not row.rule.startswith("left")]
    done = {id(parameters[row.name]) for row in rows if row.name in parameters}
    names = {name for name, parameter in parameters.items() if id(parameter) in done}
    filled = {row.name for row in rows if row.fan_in is not None}
    names |= {alias for name, weight in weights_of(model).items() if name in filled for alias in weight.names}
    for prefix, module in model.named_modules(remove_duplicate=False):
        if "parametrizations." in prefix and any(name.startswith(prefix.rpartition(".")[0]) for name in names):
            names |= {f"{prefix}.{name}" for name, _ in module.named_buffers(recurse=False)}
        if isinstance(module, nn.modules.batchnorm._NormBase) and all(p.requires_grad for p in module.parameters()):
            names |= {f"{prefix}.{name}".lstrip(".") for name, _ in module.named_buffers(recurse=False)}
    return frozenset(name for name in names if name not in parameters or parameters[name].requires_grad)


def _law_of(weight: Weight, row: Any, law: Law) -> str:
    """What is wrong with a weight under every reading of it; empty where one of them is right.

    What its parametrization makes orthogonal has that law, and the report says so.
    """
    law = orthogonal_law() if row.rule.endswith(", then Orthogonal") else law
    wrong = [""]
    for reading in weight.readings if weight.value().numel() else ():
        if row.fan_in != reading.fan_in:
            wrong.append(f"fan_in {row.fan_in}, not {reading.fan_in}")
        elif row.fan_out != reading.fan_out:
            wrong.append(f"fan_out {row.fan_out}, not {reading.fan_out}")
        else:
            words = [law(reading.matrices(numbers()), reading) for numbers in (weight.value, weight.stored)]
            if "" in words:
                return ""
            wrong.append(words[0])
    return next(filter(None, wrong), "")


def _embedding(values: Tensor, module: nn.Module, row: Any) -> str:
    """What is wrong with an embedding: its row for padding is zero, and where it is normal, it is N(0, 0.02²)."""
    if not bool(values.isfinite().all()):
        return "not finite"
    padding = getattr(module, "padding_idx", None)
    if padding is not None and bool(values[padding].any()):
        return f"row {padding} is for padding, and not zero"
    if row.rule != "normal":
        return ""
    kept = [number for number in range(len(values)) if number != padding]
    return normal_law(lambda _: 0.02)(values[None, kept], as_rows(*values.shape))


def _claim(parameter: Tensor | None, row: Any, weight: Weight | None) -> str:
    """What is not so of a report's row."""
    if parameter is None and weight is None:
        return "the network has no such parameter"
    values = weight.value() if parameter is None and weight is not None else parameter
    assert values is not None
    numbers = values.detach().double()
    if tuple(row.shape) != tuple(values.shape):
        return f"shape {row.shape}, not {tuple(values.shape)}"
    mean, std = float(numbers.mean()), float(numbers.std(correction=0))
    for what, said, real in (("mean", row.mean, mean), ("std", row.std, std)):
        if said is None or (math.isnan(said) and math.isnan(real)):  # a tensor without numbers has no mean
            continue
        if not math.isclose(said, real, rel_tol=1e-3, abs_tol=1e-6 + 1e-3 * std):
            return f"{what} {said:.6g}, not {real:.6g}"
    constant = re.fullmatch(r"(?:norm|bias): (zero|one|-?[\d.]+)", row.rule)
    if constant is not None:
        value = {"zero": 0.0, "one": 1.0}.get(constant[1]) if constant[1].isalpha() else float(constant[1])
        if not bool(numbers.eq(value or 0.0).all()):
            return f"{row.rule}, and it is not"
    return ""


def _names(report: Any, parameters: Mapping[str, nn.Parameter]) -> Iterator[tuple[str, str]]:
    """Each name of a parameter that is tied finds its row."""
    for name in parameters:
        if "parametrizations." in name:
            continue
        try:
            report[name]
        except KeyError:
            yield "false note", f"report has no row for {name}, another name of a tied weight"
            return


def _twins(filled: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """Weights of one shape that hold the same numbers, most of them not 0."""
    seen: dict[tuple[Any, ...], str] = {}
    for name, values in filled.items():
        few = values.flatten()[:64]
        if len(few) < 64 or int((few != 0).sum()) < 32:
            continue
        key = (tuple(values.shape), *few.tolist())
        if key in seen:
            yield "wrong weights", f"{name} holds the same numbers as {seen[key]}"
        seen[key] = name


def _left(model: nn.Module, report: Any) -> Iterator[tuple[str, str]]:
    """Every parameter with two dimensions above 1 is filled, or the report says why not."""
    said = {row.name for row in report if row.rule and not row.rule.startswith("left")} | set(report.left)
    parameters = names_of(model)
    done = {id(parameters[name]) for name in said if name in parameters}
    done |= {id(parameters[alias]) for name, weight in weights_of(model).items() if name in said
             for alias in weight.names if alias in parameters}  # fmt: skip
    missing = [name for name, p in model.named_parameters()
               if not is_vector(p) and id(p) not in done]  # fmt: skip
    if missing:
        yield "false note", f"neither filled nor in report.left: {', '.join(missing[:3])} ({len(missing)})"


def norm_fault(module: nn.Module, rules: set[str]) -> str:
    """What is wrong with a norm that was reset: its output must have mean square 1, and its statistics be new.

    Args:
        module: Any module.
        rules: What the report says of its parameters; only norms that were reset are looked at.
    """
    if not any(rule.startswith("norm:") for rule in rules):
        return ""
    if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is not None:
        assert module.running_var is not None
        if bool(module.running_mean.any()) or not bool((module.running_var == 1).all()):
            return "running statistics are not 0 and 1"
    width = next((p.numel() for name, p in module.named_parameters(recurse=False) if name in ("weight", "gamma")), 0)
    if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm) or not width or "2d" in type(module).__name__:
        return ""
    training, module.training = module.training, False
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output = module(3 * torch.randn(64, width, generator=torch.Generator().manual_seed(0)))
    except Exception:  # one that takes more than a tensor, or a tensor of another shape
        return ""
    finally:
        module.training = training
    square = float(output.double().square().mean()) if isinstance(output, Tensor) else 1.0
    if square > 8:  # what is called a norm, and only multiplies
        return ""
    return "" if 0.8 < square < 1.2 else f"its output has mean square {square:.3g}, not 1"


def measured_faults(model: nn.Module, batch: Any, report: Any) -> Iterator[tuple[str, str]]:
    """What a report claims of outputs on a batch, and is not so.

    Args:
        model: The network, initialized by a scheme that looks at data.
        batch: The rows that it looked at.
        report: With notes such as `output std 1.0000`.
    """
    first = first_outputs(model, batch)
    for row in report:
        output = first.get(row.name.rpartition(".")[0])
        if output is None:
            continue
        if said := re.search(r"output std ([\d.]+(?:e[+-]?\d+)?)", row.note):
            std = float(output.double().std(correction=0))
            if not math.isclose(float(said[1]), std, rel_tol=0.02, abs_tol=2e-3):
                yield "false note", f"{row.name}: {row.note}; it is {std:.4g}"
        if "channel of variance 1" in row.note and "×" not in row.note and row.fan_in is not None:
            kind = type(model.get_submodule(row.name.rpartition(".")[0])).__name__
            axis = 1 if len(row.shape) > 2 or kind == "CondConv2d" else -1  # whose weight is stored flat
            variance = output.double().movedim(axis, 0).flatten(1).var(1, correction=0)
            wrong = (variance - 1).abs()[variance > 1e-12]
            if len(wrong) and float(wrong.max()) > 0.05:
                yield (
                    "false note",
                    f"{row.name}: {row.note}; one has variance {float(variance[variance > 1e-12][wrong.argmax()]):.4g}",
                )


@torch.no_grad()
def first_outputs(model: nn.Module, batch: Any) -> dict[str, Tensor]:
    """What each module returns at its first call, if that is a tensor; batch norms normalize by the batch."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                found.setdefault(name, output.clone())

        return hook

    before_modes = {module: module.training for module in model.modules()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    hooks = [module.register_forward_hook(keep(name)) for name, module in model.named_modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        model.eval()
        for module in before_modes:
            if isinstance(module, nn.modules.batchnorm._NormBase):
                module.training = True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            call(model, batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for hook in hooks:
            hook.remove()
        for module, training in before_modes.items():
            module.training = training
        for buffer, value in buffers.items():
            buffer.copy_(value)
    return found


def call(model: nn.Module, batch: Any) -> Any:
    """What a network returns for a batch."""
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def mean_square(outputs: Any, _targets: Any) -> Tensor:
    """A loss for any network: the mean square of the first tensor of numbers that it returns."""
    if hasattr(outputs, "to_tuple"):
        outputs = outputs.to_tuple()
    first = next(leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.is_floating_point())
    return first.float().square().mean()
