"""The zoo: many architectures that nobody here wrote, initialized and probed, and checked by other computations.

    python -m scripts.zoo --out outputs/zoo.jsonl [--only PATTERN] [--schemes he,lsuv] [--jobs 2] [--table docs/zoo.md]

Every network is built from its configuration, small, without any download. Each run is one architecture with one
scheme, or with the probe; what is checked is in `oracles.py`, and how layers store their maps, in `maps.py`. Both
know nothing of `initlab.initializers.slots`, so that they can tell when that is wrong.
"""
