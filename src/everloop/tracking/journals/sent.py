"""How far a journal was shipped: written beside it before each batch leaves, so that the same batch can leave again."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

_ROW = struct.Struct("<cQQQ")
_CHECKED = struct.Struct("<I")
_SIZE = _ROW.size + _CHECKED.size


class Batch(NamedTuple):
    """A stretch of a journal that is shipped at once, under a number that rises from batch to batch."""

    sequence: int
    start: int
    end: int


class Sent:
    """The batches of a journal: the last that was acknowledged, and one that may or may not have arrived."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_suffix(".sent")
        self.acknowledged = Batch(0, 0, 0)
        self.planned: Batch | None = None
        for kind, batch in self._rows():
            if kind == b"P":
                self.planned = batch
            else:
                self.acknowledged, self.planned = batch, None

    def plan(self, end: int) -> Batch:
        """The next batch, which reaches to a place in the journal; on the disk when this returns."""
        batch = Batch(self.acknowledged.sequence + 1, self.acknowledged.end, end)
        self._append(b"P", batch, durably=True)
        self.planned = batch
        return batch

    def acknowledge(self, batch: Batch) -> None:
        """Note that a batch has arrived."""
        self._append(b"A", batch, durably=False)
        self.acknowledged, self.planned = batch, None

    def remove(self) -> None:
        """Forget it, with the journal."""
        self._path.unlink(missing_ok=True)

    def _append(self, kind: bytes, batch: Batch, *, durably: bool) -> None:
        row = _ROW.pack(kind, *batch)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, row + _CHECKED.pack(zlib.crc32(row)))
            if durably:
                os.fdatasync(file)
        finally:
            os.close(file)

    def _rows(self) -> list[tuple[bytes, Batch]]:
        """The rows up to the first that is not whole, which is cut off: nobody has acted upon it."""
        data = self._path.read_bytes() if self._path.exists() else b""
        rows: list[tuple[bytes, Batch]] = []
        for place in range(0, len(data) - _SIZE + 1, _SIZE):
            row = data[place : place + _ROW.size]
            if _CHECKED.unpack_from(data, place + _ROW.size)[0] != zlib.crc32(row):
                break
            kind, *numbers = _ROW.unpack(row)
            rows.append((kind, Batch(*numbers)))
        if len(data) > len(rows) * _SIZE:
            os.truncate(self._path, len(rows) * _SIZE)
        return rows
