"""What changes of rows leave in the ledger."""

from __future__ import annotations

from everloop.kernel.events import Event


class CompactionProposed(Event, frozen=True, kw_only=True, tag="datasets.compaction_proposed"):
    """A table has so many layers, or so many deleted rows, that writing it anew as one file pays."""

    layers: int
    deleted: int
    rows: int
