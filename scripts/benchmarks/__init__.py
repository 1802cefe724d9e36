"""What initlab costs beside what one would write instead; `python scripts/benchmark.py` runs it."""
