"""Measure initlab against what one would write instead, alternating in one run.

    python scripts/benchmark.py [wine] [mnist] [sweep] [probe] [sequences] [start] [steps] [gpu] [peers] [--runs 3]
        [--json outputs/benchmark.json] [--environments FOLDER] [--work 400 4000 mnist]

wine   400 runs of experiment=classic_wine as whole processes, against (a) one Lightning run after another with a
       DataLoader and logging, (b) a bare PyTorch loop, both timed on a few runs and scaled, and (c) the floor: a
       hand-written batched-matmul loop of the same arithmetic, against the training part alone: compiled (the second
       time, when the program is on disk) and not.
mnist  a member's epoch of experiment=classic_mnist in float32 and bfloat16, against a plain PyTorch loop over tensors
       in the default memory format, on all cores as torch uses them by default; and what operations take of it.
sweep  whole sweeps: a grid of learning rates against Hydra's basic launcher; ten times as many networks; two workers
       against one; and what a job costs beside composing and training.
probe  ten initializers of a network of 100 layers as a whole process; what recording the signal in every epoch adds to
       the training of 400 classic_wine networks; and the theory of every activation.
sequences  an epoch of 1,000 rows of the adding problem for 400 recurrent networks, and of a text for 8 transformers,
       against single networks one after another in a bare PyTorch loop on all cores: the same ones, and torch's fused
       layers.
start  how long --help and --cfg job take.
steps  a step of cohorts of several sizes, compiled and not, in processor time on one thread.
gpu    400 and 10,000 classic_wine networks and 100 of classic_mnist on a GPU, compiled and not, against single networks
       one after another there. Only where it is asked for.
peers  only by its name: the same work in other libraries, each in an environment that is made of a pinned list
       (scripts/benchmarks/peers/requirements-*.txt) and kept: 400 runs of experiment=classic_wine against JAX and plain
       Lightning, and an epoch of experiment=classic_mnist against Keras; --work says which of these, and 4000 is 4,000
       runs against JAX. Seconds of CPU, user and system, stand beside those of the wall: on a busy machine only the
       former compare.

Needs MNIST and the red wines where INITLAB_DATA points. Ratios are of medians; the machine is part of the output.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # that `scripts` is found from any folder
    from scripts.benchmarks.run import main

    main(__doc__)
