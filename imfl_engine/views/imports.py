"""What an import did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. ``test`` of the ``added`` items are in the test set.

    ``duplicates`` counts rows whose content or id was there already.
    """

    added: int
    duplicates: int
    empty: int
    labels_imported: int
    unknown_labels: dict[str, int] = field(default_factory=dict)
    truncated: int = 0
    examples: tuple[str, ...] = ()
    test: int = 0
