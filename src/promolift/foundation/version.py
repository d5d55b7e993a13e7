"""The version of the package, which the top re-exports."""

__version__ = "0.1.0"
