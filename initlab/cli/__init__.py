"""The command lines: `initlab/X.py` is the door of `python -m initlab.X`, and `cli/run_X.py` what the command does."""
