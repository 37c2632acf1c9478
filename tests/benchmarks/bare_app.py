"""The floor for `keypress_latency`: a Textual app that commits one DuckDB row a key and redraws."""

from __future__ import annotations

import sys

import duckdb
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Static


class BareApp(App[None]):
    """One line of text; every digit is a committed row and the next text."""

    def compose(self) -> ComposeResult:
        """The text."""
        yield Static(id="text")

    def on_mount(self) -> None:
        """Open the file."""
        self.con = duckdb.connect(sys.argv[1])
        self.con.execute("CREATE TABLE IF NOT EXISTS labels (item INTEGER, label VARCHAR)")
        self.number = 0
        self._show()

    def _show(self) -> None:
        self.query_one(Static).update(f"item {self.number:06d} of the bare app")

    def on_key(self, event: events.Key) -> None:
        """Commit, then show the next."""
        if event.key.isdigit():
            self.con.execute("INSERT INTO labels VALUES (?, ?)", [self.number, event.key])
            self.number += 1
            self._show()
        elif event.key == "q":
            self.exit()


if __name__ == "__main__":
    BareApp().run()
