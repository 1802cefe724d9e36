"""Tools for any `nn.Module`, a user's or ours: batches for it, a look without a trace, many of it stacked."""
