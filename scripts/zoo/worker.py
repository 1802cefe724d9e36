"""Processes that try architectures: one that crashes or hangs takes nothing else with it."""

import os
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from scripts.zoo.trial import Outcome

LIMIT: Final = 60.0  # seconds for one run
START: Final = 300.0  # seconds to import the model libraries


def work(connection: Connection) -> None:
    """In a process of its own: try what is asked for, and send back what came of it, until nothing more is asked.

    Args:
        connection: Sends True when ready; receives pairs of an architecture's name and the runs wanted; sends a record
            for each run.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    import transformers

    from scripts.zoo.catalogue import catalogue
    from scripts.zoo.trial import runs_of

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    known = catalogue()
    connection.send(True)
    while True:
        name, wanted = connection.recv()
        for outcome in runs_of(known[name], wanted):
            connection.send(outcome.record())


class Worker:
    """A process that tries architectures, and is started anew where one takes it down."""

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._here: Any = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=work, args=(there,), daemon=True)
        self._process.start()
        there.close()
        if not self._here.poll(START):
            raise TimeoutError("a worker did not start")
        self._here.recv()

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None

    def runs(self, name: str, family: str, wanted: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Records of an architecture's runs; one that crashes or takes too long is an outcome, too.

        Args:
            name: The architecture's.
            family: Its family, for what did not come back.
            wanted: Runs to try, in this order.

        Raises:
            TimeoutError: a process does not even start.
        """
        left = list(wanted)
        while left:
            if self._process is None:
                self._start()
            self._here.send((name, tuple(left)))
            try:
                while left:
                    if not self._here.poll(LIMIT):
                        raise TimeoutError
                    yield self._here.recv()
                    left.pop(0)
            except (EOFError, OSError, TimeoutError) as error:
                self.close()
                outcome = "too long" if isinstance(error, TimeoutError) else "crashed"
                yield Outcome(name, family, left.pop(0), outcome, (f"{outcome}: {type(error).__name__}",)).record()
