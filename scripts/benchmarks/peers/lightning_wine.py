"""One classic_wine network by plain Lightning, in the environment of initlab: with the same torch and Lightning.

python -m scripts.benchmarks.peers.lightning_wine wine.npz
"""

import json
import sys
import time

import numpy as np
import torch

from initlab.base.console import quiet_libraries
from initlab.data.dataset import Split
from scripts.benchmarks.wine import fit_one_run


def main() -> None:
    """Train one network, and print seconds and its accuracy."""
    quiet_libraries()
    torch.set_num_threads(1)  # quicker than two for so small a network
    data = np.load(sys.argv[1])
    train, test = (
        Split(torch.from_numpy(data[f"{split}_inputs"]), torch.from_numpy(data[f"{split}_targets"]))
        for split in ("train", "test")
    )
    start, start_cpu = time.perf_counter(), time.process_time()
    accuracy = fit_one_run(train, test)
    found = {
        "training": time.perf_counter() - start,
        "training CPU": time.process_time() - start_cpu,
        "accuracy": accuracy,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
