"""How a signal and its gradient propagate through a network: measured in every layer, and predicted by theory."""
