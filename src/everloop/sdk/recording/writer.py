"""The writer: a thread of each process that moves what was logged to its journal every 20 ms."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from random import SystemRandom

from everloop.kernel.clock import SystemClock
from everloop.kernel.ids import new_id
from everloop.sdk.recording.columns import Columns, Point
from everloop.tracking.journals.journal import Journal
from everloop.tracking.journals.records import Measured, Printed, Recorded
from everloop.tracking.points import pack

TICK = 0.02
"""Seconds between two looks at what was logged: so much a kill of the process can cost."""
_FLUSH_EVERY = 50
FULL = 16 << 20
"""From so many bytes on a journal is closed and another one begun, so that what has arrived can be removed."""
_MOST_WAITING = 64 << 20
"""So many bytes wait for a full disk to have room; what comes then is lost, and counted."""


class Writer:
    """What of a run happens in this process: points wait in `pending`, all else is written to the journal at once."""

    def __init__(self, folder: Path, warn: Callable[[str, str], None], name: str = "") -> None:
        self.folder = folder
        self.name = name or new_writer()
        self.pending: list[Point] = []
        self.printed: list[str] = []
        self.columns = Columns(warn)
        self.lost = 0
        self._warn = warn
        self._waiting: deque[Recorded] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._journal: Journal | None = None
        self._closed = False
        self._full = 0

    def start(self) -> None:
        """Start to look for what was logged."""
        self._thread = threading.Thread(target=self._work, name="everloop-writer", daemon=True)
        self._thread.start()

    def write(self, *records: Recorded) -> None:
        """Write records to the journal, behind the points that were logged before them."""
        with self._lock:
            self._move()
            self._append(records)

    def flush(self) -> None:
        """Wait until everything that was logged before is on the disk."""
        with self._lock:
            self._move()
            if self._journal is not None:
                self._flush(self._journal)

    def close(self) -> None:
        """Write what is left, and stop."""
        self._ended.set()
        with self._lock:
            self._move()
            if self._journal is not None:
                self._flush(self._journal)
                self._journal.close()
            self._closed = True
            self.lost += sum(record.count for record in self._waiting if isinstance(record, Measured))
            self._waiting.clear()

    def after_fork(self) -> None:
        """Go on in a forked process: with a journal of its own, and without what the parent will write."""
        self.pending.clear()
        self.printed.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        self.name = new_writer()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._journal = None
        self._full = 0
        self.start()

    def _work(self) -> None:
        ticks = 0
        while not self._ended.wait(TICK):
            with self._lock:
                self._move()
                ticks += 1
                if ticks % _FLUSH_EVERY == 0 and self._journal is not None:
                    self._flush(self._journal)

    def _move(self) -> None:
        """Take what was logged; callers append meanwhile, behind it."""
        records: list[Recorded] = []
        if count := len(self.pending):
            logged = self.pending[:count]
            del self.pending[:count]
            records += [Measured(pack(points), len(points)) for points in self.columns.of(logged)]
        if count := len(self.printed):
            records.append(Printed("".join(self.printed[:count])))
            del self.printed[:count]
        if records or self._waiting:
            self._append(records)

    def _append(self, records: Iterable[Recorded]) -> None:
        if self._closed:
            return
        for record in records:
            if isinstance(record, Measured):
                if self._waiting_bytes > _MOST_WAITING:
                    self.lost += record.count
                    continue
                self._waiting_bytes += len(record.segment)
            self._waiting.append(record)
        try:
            if self._journal is None:
                self._journal = Journal(self.folder, f"{self.name}_{self._full:06d}" if self._full else self.name)
            self._journal.append(self._waiting)
        except OSError as error:
            self._warn("journal", f"The journal in {self.folder} cannot be written: {error}. It is tried again.")
            return
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._journal.size >= FULL:
            self._journal.close()
            self._journal = None
            self._full += 1  # Named after the first, behind which it stands whatever the clock says.

    def _flush(self, journal: Journal) -> None:
        try:
            journal.flush()
        except OSError as error:
            self._warn("flush", f"The journal in {self.folder} cannot be flushed: {error}.")


def new_writer() -> str:
    """A name for a writer that no other has, and that sorts by time."""
    return new_id(SystemClock().now(), SystemRandom())
