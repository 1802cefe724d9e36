"""python -m initlab.report: what finished studies say, as tables, plots and a page."""

from initlab.cli.run_report import main

if __name__ == "__main__":
    main()
