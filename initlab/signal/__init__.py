"""How a signal runs through a deep network: what theory says."""
