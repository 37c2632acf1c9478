"""``python -m imfl_tui`` is the same as ``imfl-tui``."""

from imfl_tui.cli import main

if __name__ == "__main__":
    main()
