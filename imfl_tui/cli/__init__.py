"""The command line: ``imfl-tui`` and everything a script can call.

Data goes to stdout, words for people to stderr. Nothing heavy is imported before a command needs
it, so that ``--help`` and shell completion answer at once, and the commands themselves only where
the words are not simply a project to open.
"""

from __future__ import annotations

import sys

from imfl_tui.cli.interrupts import leave_at_once
from imfl_tui.cli.lean_imports import leave_pandas_alone


def main() -> None:
    """Run the command line and exit."""
    leave_at_once()
    leave_pandas_alone()
    from pathlib import Path

    from imfl_tui.cli.launching import launch, means_open

    words = sys.argv[1:]
    if means_open(words):
        sys.exit(launch(Path(words[0])))
    from imfl_tui.cli.root import main as run

    run()
