"""What an initializer did to each parameter of a network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from initlab.initializers.fans import Fan


@dataclass(frozen=True)
class Treatment:
    """What was done to one parameter.

    Attributes:
        rule: The scheme that filled it, several in their order, or in words what was done otherwise.
        fan: The fans that the scheme was given; None for a bias or a norm.
        gain: The gain that the scheme used, as a number; None where it uses none.
        note: What the scheme says of this parameter; may be empty.
    """

    rule: str
    fan: Fan | None = None
    gain: float | None = None
    note: str = ""


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
        mean: Mean over the entries of the tensor.
        std: Standard deviation of the entries about their mean.
        note: What the scheme says of it besides; may be empty.
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


@dataclass(frozen=True)
class InitReport:
    """What a scheme did to a network, one row for each parameter; it prints as a table.

    A report is a sequence of its rows, and gives the row of a parameter by its name: `report["0.weight"].std`.

    Attributes:
        scheme: The registered name of the scheme, whatever alias was used.
        rows: One for each parameter, in the order in which the network registers them.
    """

    scheme: str
    rows: tuple[ParameterRow, ...]

    def __iter__(self) -> Iterator[ParameterRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> ParameterRow:
        found = {row.name: row for row in self.rows}
        return found[name]

    def __str__(self) -> str:
        head = ("parameter", "shape", "rule", "fan_in", "fan_out", "gain", "mean", "std", "note")
        cells = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
        return "\n".join(line.rstrip() for line in lines)


def report_on(model: nn.Module, scheme: str, treatments: Mapping[str, Treatment]) -> InitReport:
    """Describe every parameter of a network as it is now; a shared one once, under the name that was treated.

    Args:
        model: The network, after its initialization.
        scheme: The registered name of the scheme.
        treatments: What was done to each parameter, by its name; one that is missing here was left as it was.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters(remove_duplicate=False)
             if name in treatments}  # fmt: skip
    rows = []
    for first_name, parameter in model.named_parameters():
        name = names.get(id(parameter), first_name)
        treatment = treatments.get(name, Treatment("left as it was"))
        values = parameter.detach().cpu().double()
        fan = treatment.fan
        rows.append(
            ParameterRow(
                name,
                tuple(parameter.shape),
                treatment.rule,
                fan.fan_in if fan else None,
                fan.fan_out if fan else None,
                treatment.gain,
                float(values.mean()),
                float(values.std(correction=0)),
                treatment.note,
            )
        )
    return InitReport(scheme, tuple(rows))


def _cells(row: ParameterRow) -> tuple[str, ...]:
    shape = "×".join(map(str, row.shape)) or "1"
    fans = ("" if fan is None else str(fan) for fan in (row.fan_in, row.fan_out))
    gain = "" if row.gain is None else f"{row.gain:.4g}"
    return (row.name, shape, row.rule, *fans, gain, f"{row.mean:.3g}", f"{row.std:.3g}", row.note)
