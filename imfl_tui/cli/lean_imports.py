"""Keep out of our process what another library imports and nobody here uses."""

from __future__ import annotations

import sys


class _WithoutPandas:
    """A finder that lets ``import pandas`` fail as if it were not installed.

    pyarrow imports pandas, where it is installed, for the first array it makes, to see whether it
    was given one of its series: half a second in which no key is answered, and 80 MB.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not used by imfl-tui", name=name)


def leave_pandas_alone() -> None:
    """Let nothing import pandas in this process; the process that computes is another one."""
    if not any(isinstance(finder, _WithoutPandas) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WithoutPandas())
