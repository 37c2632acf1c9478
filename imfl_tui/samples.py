"""Where the sample data lies: inside the wheel, or beside the packages in a checkout."""

from __future__ import annotations

from pathlib import Path

from imfl_engine.errors import DataError


def sample_folder() -> Path:
    """The folder of the sample data sets.

    Raises `DataError` where the installation came without them.
    """
    package = Path(__file__).parent
    for folder in (package / "sample_data", package.parent / "sample_data"):
        if folder.is_dir():
            return folder
    raise DataError(
        "The sample data is missing from this installation.",
        "Install imfl-tui again: `pip install --force-reinstall imfl-tui`.",
    )
