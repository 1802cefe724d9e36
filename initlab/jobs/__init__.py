"""Jobs, each one cell of the benchmark (data × model × activation × init × optimizer), and their members."""
