"""initlab: which weight initialization should this network start from?"""

__version__ = "0.1.0"
