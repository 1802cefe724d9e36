"""How a signal runs through a deep network and its gradient back: what is measured, and what theory says."""
