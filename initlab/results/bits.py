"""Bits a step: the loss of a network that says what comes next, as it is told of texts."""

import math
from collections.abc import Mapping
from typing import Any, Final

from initlab.results.study import Study

BIT: Final = math.log(2)  # in units of a cross entropy by natural logarithms


def is_in_bits(study: Study, job: str) -> bool:
    """Whether a job's loss tells bits once it is divided by ln 2: a plain cross entropy of a class at each step.

    Args:
        study: As `read_study` returns it.
        job: Name of the job; of one that was trained before there were such tasks it is not so.
    """
    config: Mapping[str, Any] = study.configs.get(job, {})
    set_keys = {key: value for key, value in config.items() if key.startswith("loss.") and value not in (None, 0.0)}
    plain = set_keys.pop("loss.name", "auto") in ("auto", "cross_entropy") and not set_keys
    return study.metadata.get(job, {}).get("task") == "sequence" and plain
