"""Figures: one function a figure, usable from a notebook; they draw tables and compute nothing of their own."""
