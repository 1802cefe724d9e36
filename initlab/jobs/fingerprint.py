"""What results depend on, as one hash: by it they are found again, and not trained twice."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

# Raised when the same configuration and data give other results than before.
RESULTS_VERSION: Final = 4
# Of fingerprints that had the seeds in them. What it trained from a seed is what version 4 trains from it.
VERSION_WITH_SEEDS: Final = 3


def fingerprint_of(config: Mapping[str, Any], checksum: str, sources: Mapping[str, str], version: int) -> str:
    """A hash of all that decides what a seed of a job trains.

    Args:
        config: The configuration as plain data, without the keys that change no result.
        checksum: That of the data.
        sources: Hashes of the user's own files by their names, as `sources_of` has them.
        version: Of the results, `RESULTS_VERSION`, or an earlier one.
    """
    what: list[Any] = [config, checksum, version]
    what += [sources] if sources else []  # of initlab's own things the fingerprint stays what it was
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
