"""Tools for any `nn.Module`: batches for it, a look at it that leaves no trace, many of it stacked."""
