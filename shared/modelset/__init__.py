"""modelset: gets every model a program needs onto a machine, and says offline what is there."""

__version__ = "0.1.0"
