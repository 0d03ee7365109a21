"""What changes of rows and columns are told by."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.datasets.entities import Column
from everloop.kernel.events import Event
from everloop.kernel.ids import Name


class SchemaChange(msgspec.Struct, frozen=True):
    """How the columns changed in a version; `changed` gives name, type before, type after."""

    version: int
    created: datetime
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()


class Schema(msgspec.Struct, frozen=True):
    """The columns of a version, and how they came about, newest change first."""

    dataset: Name
    version: int
    columns: tuple[Column, ...]
    history: tuple[SchemaChange, ...]


class CompactionProposed(Event, frozen=True, kw_only=True, tag="datasets.compaction_proposed"):
    """A table has so many layers, or so many deleted rows, that writing it anew as one file pays."""

    layers: int
    deleted: int
    rows: int
