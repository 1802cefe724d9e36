"""initlab's Hydra launcher, and the sweeper that goes with it."""

from hydra_plugins.initlab_launcher.launcher import VectorizedLauncher
from hydra_plugins.initlab_launcher.sweeper import VectorizedSweeper

__all__ = ["VectorizedLauncher", "VectorizedSweeper"]
