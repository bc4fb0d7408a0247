"""The version of the program, importable without anything heavy."""

__version__ = "0.1.0"
