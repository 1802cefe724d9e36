"""Grids of numbers on the command line, as in optim.lr=logspace(-4,0,9)."""

import re
from collections.abc import Sequence

from initlab.base.errors import UserError

GRID = re.compile(r"(?P<key>[^=]+)=(?P<kind>logspace|linspace)\((?P<arguments>[^()]*)\)")
MOST = 1000


def expand_grids(arguments: Sequence[str]) -> list[str]:
    """Write grids out, as Hydra sweeps over them.

    `KEY=logspace(a,b,n)` becomes n values from 10^a to 10^b in equal ratios, and `KEY=linspace(a,b,n)` n values from
    a to b in equal steps. Each has three digits, which name the jobs' folders, or as many as tell all n apart.

    Args:
        arguments: Of the command line; any that are no grids stay.

    Raises:
        UserError: other than three numbers, the last of them whole and at least 2.
    """
    return [_expanded(found) if (found := GRID.fullmatch(argument)) else argument for argument in arguments]


def _expanded(found: re.Match[str]) -> str:
    try:
        first, last, count = (float(text) for text in found["arguments"].split(","))
        if count != int(count) or not 2 <= count <= MOST:
            raise ValueError
        steps = [first + (last - first) * place / (count - 1) for place in range(int(count))]
        values = [10**step for step in steps] if found["kind"] == "logspace" else steps
    except (ValueError, OverflowError) as error:
        problem = f"expected {found['kind']}(FROM,TO,N) with N from 2 to {MOST}"
        raise UserError(f"{found[0]}: {problem}, e.g. optim.lr=logspace(-4,0,9)") from error
    return f"{found['key']}={','.join(_written(values))}"


def _written(values: Sequence[float]) -> list[str]:
    """Numbers with three digits, or as many as tell different ones apart; equal ones once."""
    distinct = len(set(values))
    for digits in range(3, 18):
        texts = list(dict.fromkeys(f"{value:.{digits}g}" for value in values))
        if len(texts) == distinct:
            break
    return texts
