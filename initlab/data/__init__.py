"""Data sets, loaded into memory once and split into training, validation and test rows."""
