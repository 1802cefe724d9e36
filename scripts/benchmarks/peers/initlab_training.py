"""The training part of a cohort of initlab, in a process of its own.

python -m scripts.benchmarks.peers.initlab_training INIT,INIT,… OVERRIDE …
"""

import json
import resource
import sys
import time

from initlab.base.console import quiet_libraries
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.jobs.share import Share
from scripts.benchmarks.peers.measuring import cpu_seconds
from scripts.benchmarks.timing import EpochTimer, make_job


class EpochUsage(EpochTimer):
    """Wall and CPU time of a cohort's last epoch, its validation included."""

    def on_train_epoch_start(self, *given: object) -> None:
        """Start the clocks."""
        super().on_train_epoch_start(*given)  # type: ignore[arg-type]
        self.cpu = time.process_time()

    def on_train_epoch_end(self, *given: object) -> None:
        """Stop them."""
        self.cpu = time.process_time() - self.cpu
        super().on_train_epoch_end(*given)  # type: ignore[arg-type]


def main() -> None:
    """Train the members of some initializers, and print seconds and their mean accuracy."""
    quiet_libraries()
    inits, *overrides = sys.argv[1:]
    jobs = [make_job(*overrides, f"init={name}") for name in inits.split(",")]
    shares = [Share(job, job.seeds) for job in jobs]
    networks = [network for share in shares for network in build_networks(share)]
    shares[0].job.dataset.train  # noqa: B018  loaded before the clock starts
    epoch = EpochUsage()
    start, start_cpu = time.perf_counter(), cpu_seconds(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    tables = train_cohort(shares, networks, [epoch])
    found = {
        "training": time.perf_counter() - start,
        "training CPU": cpu_seconds(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) - start_cpu,
        "last epoch of a member": epoch.seconds / len(networks),
        "last epoch of a member CPU": epoch.cpu / len(networks),
        "accuracy": float(tables.members["test_score"].mean()),
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
