"""python -m initlab.schemes: every initializer with its formula, source and needs, and every activation's gains."""

from initlab.cli.run_schemes import main

if __name__ == "__main__":
    main()
