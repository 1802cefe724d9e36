"""Networks whose layers, activation and output size the benchmark sets."""
