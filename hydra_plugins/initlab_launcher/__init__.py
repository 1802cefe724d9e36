"""initlab's Hydra launcher."""

from hydra_plugins.initlab_launcher.launcher import VectorizedLauncher

__all__ = ["VectorizedLauncher"]
