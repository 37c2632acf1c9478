"""The terminal application and command line of imfl-tui, on top of `imfl_engine`."""

__version__ = "0.1.0"
