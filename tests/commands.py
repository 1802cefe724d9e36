"""Commands in processes of their own, forked from one that has imported what is heavy."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Imports what is heavy once, then forks a process for each command, which may end itself before a step on the disk.
FORKING = """
import fnmatch, gc, importlib, json, os, shlex, signal, sys
import torch.utils.tensorboard
import initlab.data.images, initlab.data.synthetic, initlab.data.tabular, initlab.models
from initlab.cli.conclude import conclude_study
from initlab.cli.run_train import run_study
from initlab.sweep import crew, worker
from tests.helpers import interruptible, make_job

composed, started = {}, []
start_workers = crew.start_workers

def start_forks(*what, **how):
    # The first that a command starts, as it may have them: Lightning is here, but no operation has threads.
    started.append(what)
    return start_workers(*what, **{**how, "from_here": len(started) == 1})

crew.start_workers = start_forks
gc.collect(), gc.freeze()  # else each process would look through it all, and so copy it

def watch(pattern, number):
    left = number
    steps = open("steps.txt", "w", buffering=1)

    def before(event, arguments):
        nonlocal left
        if event not in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            return
        step = f"{event} {os.fspath(arguments[event == 'os.rename'])}"
        steps.write(step + chr(10))
        if pattern and fnmatch.fnmatchcase(step, pattern):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(before)

for line in sys.stdin:
    what = json.loads(line)
    if "wait" in what:
        print(os.waitstatus_to_exitcode(os.waitpid(what["wait"], 0)[1]), flush=True)
        continue
    jobs = what.get("jobs", ())
    for job in jobs:
        if job not in composed:
            composed[job] = make_job(*job.split())
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.chdir(what["folder"])
        for name, stream in (("said.txt", sys.stdout), ("errors.txt", sys.stderr)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
        sys.stdout.reconfigure(line_buffering=True)
        code = 0
        if jobs:
            worker.BUNDLED = what["bundled"] or worker.BUNDLED
            watch(what["before"], what["number"])
            run_study([composed[job] for job in jobs],
                      conclude=lambda folder, console: conclude_study(folder, console, with_report=False))
        else:
            interruptible()
            module = f"initlab.{what['program']}"
            sys.argv = [module, *shlex.split(what["command"])]
            try:
                importlib.import_module(module).main()
            except SystemExit as stop:
                code = int(stop.code or 0)
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    print(child, flush=True)

os._exit(0)  # without the seconds that ending takes
"""


class Commands:
    """Commands as processes of their own, without the seconds that each would take to start."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, command: str, folder: Path, *, program: str = "train") -> int:
        """Start `python -m initlab.PROGRAM COMMAND` in a folder; its process id.

        What it says goes to said.txt there, what it says of errors to errors.txt. `train` writes no report, which takes
        seconds, unless the command asks for one.
        """
        if program == "train" and "report=" not in command:
            command += " report=false"
        return self._ask(folder=str(folder), command=command, program=program)

    def run(self, command: str, folder: Path, *, program: str = "train") -> int:
        """Start a command and wait for it; its exit code."""
        return self.wait(self.start(command, folder, program=program))

    def start_study(
        self, jobs: Sequence[str], folder: Path, *, before: str = "", number: int = 1, bundled: int = 0
    ) -> int:
        """Start to train the study `outputs/test` of some jobs in a folder; steps.txt takes its steps on the disk.

        Args:
            jobs: Overrides of each; they are composed once.
            folder: To work in.
            before: Pattern of the steps before one of which the process ends itself, as by `kill -9`: of a line of
                steps.txt, as `os.rename NEW_PATH` or `os.remove PATH`; empty: it does not.
            number: Of that step among those that match.
            bundled: From how many jobs of a cohort on they go to a bundle; 0: as usual.

        Returns:
            The process id.
        """
        return self._ask(folder=str(folder), jobs=list(jobs), before=before, number=number, bundled=bundled)

    def wait(self, process: int) -> int:
        """The exit code of a command that was started; negative: the signal that ended it."""
        return self._ask(wait=process)

    def _ask(self, **what: str | int | list[str]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(what)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def open_commands() -> Iterator[Commands]:
    """A process that runs commands as they are asked for."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Commands(process)
    finally:
        process.communicate(timeout=60)
