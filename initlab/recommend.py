"""python -m initlab.recommend: which initialization to use for one network on one data set, with the evidence."""

from initlab.cli.apps import recommend as main

if __name__ == "__main__":
    main()
