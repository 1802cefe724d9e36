"""python -m initlab.probe: what initializers do to signal and gradient before any training, and what theory says."""

from initlab.cli.apps import probe as main

if __name__ == "__main__":
    main()
