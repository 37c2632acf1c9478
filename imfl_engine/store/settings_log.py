"""The settings of a project, every version of them."""

from __future__ import annotations

import json

from imfl_engine.settings import Settings, parse_stored
from imfl_engine.store.database import Connection


def append(con: Connection, settings: Settings) -> None:
    """Append the settings; the newest row counts."""
    con.execute(
        "INSERT INTO settings_log (settings, created_at) "
        "VALUES (?, greatest((now() AT TIME ZONE 'UTC'), "
        "coalesce((SELECT max(created_at) FROM settings_log), '1970-01-01'::TIMESTAMP) "
        "+ INTERVAL 1 MICROSECOND))",
        [settings.model_dump_json()],
    )


def newest(con: Connection) -> Settings:
    """Return the current settings."""
    row = con.execute(
        "SELECT settings FROM settings_log ORDER BY created_at DESC LIMIT 1"
    ).fetchone()
    assert row is not None, "a project is created with settings"
    return parse_stored(json.loads(row[0]))
