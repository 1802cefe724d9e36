"""Which files loggers write into a job's folder; to know that, no logger has to be imported."""

import contextlib
from pathlib import Path
from typing import Final

EVENT_FILES: Final = "events.out.tfevents.*"  # TensorBoard's
OF_TENSORBOARD: Final = (EVENT_FILES, "hparams.yaml")
OF_CSV: Final = ("metrics.csv", "hparams.yaml")


def remove_logs(folder: Path) -> None:
    """Remove what the loggers that write files have left in a job's folder."""
    for inner in (folder, folder / "csv"):
        for pattern in {*OF_TENSORBOARD, *OF_CSV}:
            for path in inner.glob(pattern):
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # there is none, or something else is in it
        (folder / "csv").rmdir()
