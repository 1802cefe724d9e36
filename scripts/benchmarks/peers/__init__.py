"""The same work in initlab and in other libraries, each in an environment of its own: `scripts/benchmark.py peers`."""
