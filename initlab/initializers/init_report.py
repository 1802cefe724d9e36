"""What an initializer did to each parameter of a network."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from initlab.initializers.fans import Fan
from initlab.initializers.layers import stored_in
from initlab.initializers.norms import norms_of
from initlab.initializers.slots import is_weight_shaped, parametrizations_at_rest, why_not_filled
from initlab.modules.wrappers import bare_name, whole_tensor

if TYPE_CHECKING:
    import pandas as pd

CHUNK: Final = 2**17  # entries that are looked at together: large weights need no copy, and a piece stays in the cache
LEFT: Final = "left as it was"


@dataclass(frozen=True)
class Treatment:
    """What was done to one parameter.

    Attributes:
        rule: The scheme that filled it, several in their order, or in words what was done otherwise.
        fan: The fans that the scheme was given; None for a bias or a norm.
        gain: The gain that the scheme used, as a number; None where it uses none.
        note: What the scheme says of this parameter, or why it was left alone; may be empty.
        hit: The rule apart that hit the parameter; empty where none did.
        left: Whether it was left as it was.
        unasked: Whether it was left although nobody asked for that.
    """

    rule: str
    fan: Fan | None = None
    gain: float | None = None
    note: str = ""
    hit: str = ""
    left: bool = False
    unasked: bool = False

    @staticmethod
    def left_alone(reason: str, *, hit: str = "", unasked: bool = False) -> "Treatment":
        """The treatment of a parameter that was left as it was, with the reason."""
        return Treatment(LEFT, note=reason, hit=hit, left=True, unasked=unasked)


@dataclass(frozen=True)
class ParameterRow:
    """One parameter after initialization.

    Attributes:
        name: Its name in the network, e.g. `"0.weight"`.
        shape: The tensor's shape, as torch stores it.
        rule: The scheme that filled it, or why none did.
        fan_in: How many inputs feed one output unit; of one block, where the tensor holds several. None where the
            parameter has no fans.
        fan_out: How many output units one input feeds, likewise.
        gain: The factor that the scheme used; None where it uses none.
        mean: Mean over the entries of the tensor; NaN where statistics were not asked for.
        std: Standard deviation of the entries about their mean, likewise.
        note: What the scheme says of it besides, or why it was left alone; may be empty.
        hit: The rule apart that hit it, where there are such rules; else empty.
    """

    name: str
    shape: tuple[int, ...]
    rule: str
    fan_in: int | None
    fan_out: int | None
    gain: float | None
    mean: float
    std: float
    note: str
    hit: str = ""


@dataclass(frozen=True)
class InitReport:
    """What a scheme did to a network, one row for each parameter; it prints as a table.

    A report is a sequence of its rows, and gives the row of a parameter by its name, or by any of its names where
    several layers share it: `report["0.weight"].std`.

    Attributes:
        scheme: The registered name of the scheme, whatever alias was used.
        rows: One for each parameter, in the order in which the network registers them.
        left: By their names, the parameters with the shape of a weight that were left as they were, with the reason.
        unasked: Those of them that were left although nobody asked for that: of a kind that initlab does not know, or
            computed from others.
        aliases: By further names of shared parameters, and names without what wrappers add, the name in `rows`.
    """

    scheme: str
    rows: tuple[ParameterRow, ...]
    left: Mapping[str, str]
    unasked: tuple[str, ...]
    aliases: Mapping[str, str]

    def __iter__(self) -> Iterator[ParameterRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> ParameterRow:
        found = {row.name: row for row in self.rows}
        return found[name if name in found else self.aliases[name]]

    def to_frame(self) -> "pd.DataFrame":
        """The rows as a table, a column for each attribute of a row."""
        import pandas as pd  # only where it is asked for: it takes longer to import than a small network to fill

        return pd.DataFrame([asdict(row) for row in self.rows])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002  # what IPython calls
        printer.text(str(self))

    def __str__(self) -> str:
        head = ["parameter", "shape", "rule", "fan_in", "fan_out", "gain", "mean", "std", "note"]
        with_hits = any(row.hit for row in self.rows)
        if with_hits:
            head.insert(3, "hit by")
        cells = [head, *(_cells(row, with_hits=with_hits) for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
        return "\n".join(line.rstrip() for line in lines)


def report_on(
    model: nn.Module, scheme: str, treatments: Mapping[str, Treatment], *, statistics: bool = True
) -> InitReport:
    """Describe every parameter of a network as it is now; a shared one once, under the name that was treated.

    Args:
        model: The network, after its initialization.
        scheme: The registered name of the scheme.
        treatments: What was done to each parameter, by its name; one that is missing here was left as it was.
        statistics: Whether to look at the numbers, for means and standard deviations.
    """
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    in_norms = {id(parameter) for _, norm in norms_of(model) for parameter in norm.parameters(recurse=False)}
    rows, left, aliases, unasked = [], {}, {}, []
    for parameter in model.parameters():
        known = names[id(parameter)]
        name = next((name for name in known if name in treatments), known[0])
        aliases.update({other: name for own in known for other in (own, bare_name(own)) if other != name})
        treatment = treatments.get(name)
        if treatment is None:
            why = _why_unknown(model, name, parameter) if is_weight_shaped(parameter) else ""
            treatment = Treatment.left_alone(why, unasked=True)
        if treatment.left and is_weight_shaped(parameter) and id(parameter) not in in_norms:
            left[name] = treatment.note
            unasked += [name] if treatment.unasked else []
        fan = treatment.fan
        mean, std = _moments(parameter) if statistics else (math.nan, math.nan)
        rows.append(
            ParameterRow(
                name,
                tuple(parameter.shape),
                treatment.rule,
                fan.fan_in if fan else None,
                fan.fan_out if fan else None,
                treatment.gain,
                mean,
                std,
                treatment.note,
                treatment.hit,
            )
        )
    return InitReport(scheme, tuple(rows), left, tuple(unasked), aliases)


def _why_unknown(model: nn.Module, name: str, parameter: Tensor) -> str:
    """Why nothing fills a parameter of the shape of a weight."""
    holder = model.get_submodule(name.rpartition(".")[0])
    kind = type(holder).__name__
    with parametrizations_at_rest(holder):
        computed = any(not isinstance(getattr(holder, own, None), nn.Parameter) for own in stored_in(holder))
    unknown = f"initlab does not know what {kind} does with it"
    return why_not_filled(parameter) or (f"{kind} computes its weight from it" if computed else unknown)


@torch.no_grad()
def _moments(parameter: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of all entries, piece by piece; NaN for complex numbers, and where there are none.

    They are taken around the first entry, so that those of a constant are exact.
    """
    if parameter.is_complex() or not parameter.numel():
        return math.nan, math.nan
    flat = whole_tensor(parameter).flatten()
    kind = torch.float64 if flat.dtype == torch.float64 or len(flat) <= CHUNK else torch.float32
    shift, total, squares = float(flat[0]), 0.0, 0.0
    for piece in flat.split(CHUNK):
        around = piece.to(kind) - shift
        total += float(around.sum())
        squares += float(torch.dot(around, around))
    middle = total / len(flat)
    return shift + middle, math.sqrt(max(squares / len(flat) - middle**2, 0.0))


def _cells(row: ParameterRow, *, with_hits: bool) -> list[str]:
    shape = "×".join(map(str, row.shape)) or "1"
    fans = ("" if fan is None else str(fan) for fan in (row.fan_in, row.fan_out))
    gain = "" if row.gain is None else f"{row.gain:.4g}"
    hit = [row.hit] if with_hits else []
    return [row.name, shape, row.rule, *hit, *fans, gain, *(_number(value) for value in (row.mean, row.std)), row.note]


def _number(value: Any) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"
