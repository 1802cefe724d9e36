"""python -m initlab.train: train every combination of a sweep over many seeds, and say how sure the result is."""

from initlab.cli.apps import train as main

if __name__ == "__main__":
    main()
