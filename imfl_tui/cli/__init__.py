"""The command line: ``imfl-tui`` and everything a script can call.

Data goes to stdout, words for people to stderr. Nothing heavy is imported before a command needs
it, so that ``--help`` and shell completion answer at once.
"""

from imfl_tui.cli.root import app, main

__all__ = ["app", "main"]
