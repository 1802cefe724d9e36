"""Jobs: one cell of the benchmark each, data × model × activation × init × optimizer, with its members."""
