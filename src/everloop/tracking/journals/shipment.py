"""Brings what the journals of one run say to a platform: in order, in batches, each exactly once.

The same code ships while a run goes on, when it ends, and after a crash. A batch that may have arrived is sent again as
it was: points carry the writer's name and a number that the platform remembers, all else is the same when it is said
twice. What the platform refuses is told and left out; where it cannot be reached, everything stays as it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import takewhile
from pathlib import Path

from everloop.kernel.clock import from_micros
from everloop.kernel.errors import (
    Conflict,
    EverloopError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from everloop.kernel.progress import SILENT, Progress
from everloop.store.entities import Digest
from everloop.tracking.entities import CodeRevision, RunStatus
from everloop.tracking.journals import locks
from everloop.tracking.journals.destination import Destination
from everloop.tracking.journals.journal import Entry, entries, journals, lock_of
from everloop.tracking.journals.records import Begun, Captured, Ended, Kept, Measured, Noted, Printed, Recorded
from everloop.tracking.journals.sent import Batch, Sent
from everloop.tracking.points import unpack

SPOOL = "spool"
SHIPPING = "shipping.lock"
"""The lock of who ships a run: the process that began it, or a sync."""
CONSOLE = "console.txt"
_MOST_POINTS = 1 << 20
_STOPPING = (Unavailable, Unauthenticated, PermissionDenied, NotFound)
"""Errors after which the rest need not be tried: another time, another token, another address may help."""
OUR_FAULT = 500
"""From this status on an error says nothing about what was sent: it must not be left out because of it."""


class NotYet(Unavailable):
    """Something else must arrive first."""


class Shipment:
    """The journals of a run, on their way."""

    def __init__(
        self,
        folder: Path,
        destination: Destination,
        warn: Callable[[str, str], None],
        progress: Progress = SILENT,
    ) -> None:
        self.run = folder.name
        self._folder = folder
        self._destination = destination
        self._warn = warn
        self._progress = progress
        self._sent: dict[Path, Sent] = {}
        self._begun: set[Path] = set()
        self._staying: set[Path] = set()
        self._newest: datetime | None = None
        """When the last point was logged of the journals that are gone."""
        self._files: set[str] = set()
        self._reopened: tuple[RunStatus, datetime | None] | None = None

    def ship(self) -> None:
        """Ship everything that the journals say by now.

        Raises:
            EverloopError: the platform cannot be reached, or lets nobody in.
        """
        for journal in journals(self._folder):
            self._begin(journal)
            closed = locks.is_free(lock_of(journal))
            while parcel := self._next(journal):
                self._deliver(journal, *parcel)
            if closed and journal not in self._staying:
                self._thin(journal)

    def end(self) -> bool:
        """Ship the rest of a run whose process has ended, end it on the platform, and remove what was shipped.

        Whether nothing is left: a worker that is still alive keeps its journal, for a later sync.
        """
        self.ship()
        alive = [journal for journal in journals(self._folder) if not locks.is_free(lock_of(journal))]
        done = [journal for journal in journals(self._folder) if journal not in alive]
        for journal in done:
            self._keep_console(journal)
        self._finish(done)
        for journal in done:
            self._remove(journal)
        if not alive:
            shutil.rmtree(self._folder / SPOOL, ignore_errors=True)
            locks.release(self._folder / SHIPPING, remove=True)
            with suppress(OSError):
                self._folder.rmdir()
        return not alive

    def _thin(self, journal: Path) -> None:
        """Remove a closed journal that has arrived, unless it says how the run began or ended."""
        last: Measured | None = None
        for record, _ in self._entries(journal, 0):
            if isinstance(record, Begun | Ended):
                self._staying.add(journal)
                return
            last = record if isinstance(record, Measured) else last
        self._newest = max(filter(None, (self._newest, _last_time(last))), default=None)
        self._keep_console(journal, f"console-{journal.stem}.txt")
        self._remove(journal)

    def _remove(self, journal: Path) -> None:
        """Where this is interrupted, what is left is sent again under the same numbers, and changes nothing."""
        self._of(journal).remove()
        lock_of(journal).unlink(missing_ok=True)
        journal.unlink()

    def _of(self, journal: Path) -> Sent:
        if journal not in self._sent:
            self._sent[journal] = Sent(journal)
        return self._sent[journal]

    def _begin(self, journal: Path) -> None:
        """Make the run, unless the journal is a worker's; the first batch waits until what it runs in is known."""
        if journal in self._begun:
            return
        first = next(entries(journal), None)
        if first is None:
            return
        if isinstance(first.record, Begun) and self._of(journal).acknowledged.sequence == 0:
            if first.record.resumed:
                self._destination.call("runs.resume", {"id": self.run})
            else:
                self._start(first.record, self._captured(journal))
        self._begun.add(journal)

    def _captured(self, journal: Path) -> Captured | None:
        for entry in entries(journal):
            if isinstance(entry.record, Captured):
                return entry.record
            if isinstance(entry.record, Ended):
                return None
        if not locks.is_free(lock_of(journal)):
            raise NotYet("What the run runs in is not known yet.")
        return None

    def _start(self, begun: Begun, captured: Captured | None) -> None:
        code = CodeRevision()
        if captured is not None:
            difference = self._stored(captured.difference) if captured.difference else ""
            code = CodeRevision(captured.revision, captured.branch, captured.dirty, difference)
        told = {"experiment": begun.experiment, "name": begun.name, "parent": begun.parent, "group": begun.group}
        told = {key: text for key, text in told.items() if text}
        known: dict[str, object] = {"id": self.run, "code": code}
        known |= {"environment": captured.environment} if captured is not None else {}
        try:
            self._told("runs.start", told | known, "started", begun.started)
        except NotFound:
            if not begun.parent:
                raise
            if (self._folder.parent / begun.parent).is_dir():
                raise NotYet(f"The run {begun.parent} must arrive before {self.run}.") from None
            self._warn(begun.parent, f"Run {self.run} has no parent there: there is no run {begun.parent}.")
            del told["parent"]
            self._told("runs.start", told | known, "started", begun.started)

    def _next(self, journal: Path) -> tuple[Batch, Sequence[Recorded]] | None:
        """The batch that may or may not have arrived, or a new one; nothing where all is there."""
        sent = self._of(journal)
        planned = sent.planned
        if planned is not None:
            again = takewhile(lambda entry: entry.end <= planned.end, self._entries(journal, planned.start))
            return planned, [entry.record for entry in again]
        if journal.stat().st_size <= sent.acknowledged.end:
            return None
        found: list[Entry] = []
        points = 0
        for entry in self._entries(journal, sent.acknowledged.end):
            points += entry.record.count if isinstance(entry.record, Measured) else 0
            if points > _MOST_POINTS:
                break
            found.append(entry)
        return (sent.plan(found[-1].end), [entry.record for entry in found]) if found else None

    def _entries(self, journal: Path, start: int) -> Iterator[Entry]:
        return entries(journal, start, whole=locks.is_free(lock_of(journal)))

    def _deliver(self, journal: Path, batch: Batch, records: Sequence[Recorded]) -> None:
        segments = [record.segment for record in records if isinstance(record, Measured)]
        if segments:
            self._try(partial(self._destination.points, self.run, segments, journal.stem, batch.sequence), "points")
        self._note([record for record in records if isinstance(record, Noted)])
        self._keep({record.path: record.digest for record in records if isinstance(record, Kept)})
        self._of(journal).acknowledge(batch)
        self._progress.advance(batch.end, journal.stat().st_size, self.run, "bytes")

    def _note(self, notes: Sequence[Noted]) -> None:
        parameters: dict[str, str] = {}
        tags: dict[str, str] = {}
        inputs: dict[str, None] = {}
        for note in notes:
            parameters = note.parameters | parameters  # The first value is the one that stays.
            tags |= note.tags
            inputs |= dict.fromkeys(note.inputs)
            if note.note is not None:
                self._call("runs.describe", {"note": note.note})
        self._texts("parameters", parameters)
        self._texts("tags", tags)
        if inputs:
            self._call("runs.log", {"inputs": tuple(inputs)})

    def _texts(self, kind: str, texts: Mapping[str, str]) -> None:
        """All at once; where one is refused, one by one, for the others are none the worse."""
        if len(texts) > 1 and self._call("runs.log", {kind: texts}, quietly=True):
            return
        for key, text in texts.items():
            self._call("runs.log", {kind: {key: text}})

    def _keep(self, files: Mapping[str, str]) -> None:
        """All at once, and one by one where that is refused, as with texts."""
        stored: dict[str, str] = {}
        for path, digest in files.items():
            if digest in self._files:
                stored[path] = digest
            elif (self._folder / SPOOL / digest).exists():
                stored[path] = self._stored(digest)
            else:
                self._warn(path, f"The file {path} of run {self.run} is missing from {self._folder / SPOOL}.")
        if len(stored) > 1 and self._try(partial(self._destination.files, self.run, stored), "files", quietly=True):
            return
        for path, digest in stored.items():
            self._call("runs.log_artifact", {"path": path, "digest": digest})

    def _stored(self, digest: str) -> Digest:
        self._files.add(digest)
        return self._destination.store.put_file(self._folder / SPOOL / digest)

    def _call(self, name: str, arguments: Mapping[str, object], *, quietly: bool = False) -> bool:
        call = partial(self._destination.call, name, {"id": self.run, **arguments})
        return self._try(call, name, quietly=quietly)

    def _try(self, action: Callable[[], object], what: str, *, quietly: bool = False) -> bool:
        """Do something to the run, which is resumed if it has ended meanwhile; whether it was taken.

        Raises:
            EverloopError: the platform cannot be reached, or lets nobody in.
        """
        try:
            try:
                action()
            except Conflict:
                if not self._reopen():
                    raise
                action()
        except EverloopError as error:
            if error.status >= OUR_FAULT or isinstance(error, _STOPPING):
                raise
            if not quietly:
                self._warn(f"{what} {error}", f"Run {self.run}: {error}")
            return False
        return True

    def _reopen(self) -> bool:
        """Resume the run if it has ended on the platform, as one has whose worker outlived it."""
        known = self._destination.call("runs.get", {"id": self.run})
        if known.status == "running" or known.deleted is not None:
            return False
        self._reopened = known.status, known.ended
        self._destination.call("runs.resume", {"id": self.run})
        return True

    def _keep_console(self, journal: Path, path: str = CONSOLE) -> None:
        """Keep what a journal says was printed as a file of the run; a second one has its writer's name in its path."""
        printed = (entry.record for entry in self._entries(journal, 0))
        text = "".join(record.text for record in printed if isinstance(record, Printed))
        if not text:
            return
        known = {
            artifact.path: artifact.digest for artifact in self._destination.call("runs.artifacts", {"id": self.run})
        }
        digest = self._destination.store.put(text.encode(errors="replace"))
        path = path if known.get(path, digest) == digest else f"console-{journal.stem}.txt"
        self._call("runs.log_artifact", {"path": path, "digest": digest})

    def _finish(self, done: Sequence[Path]) -> None:
        """End the run as the newest process that began or resumed it did; one that left no word was killed."""
        status, at = self._ending(done)
        if status is None:
            return
        known = self._destination.call("runs.get", {"id": self.run})
        if known.status == "running":
            self._told("runs.finish", {"id": self.run, "status": status}, "ended", at)

    def _told(self, name: str, arguments: Mapping[str, object], when: str, at: datetime | None) -> None:
        """Call a use case with a time of this machine, or without one where its clock is too wrong for that."""
        try:
            self._destination.call(name, {**arguments, when: at})
        except InvalidInput as error:
            if at is None:
                raise
            self._destination.call(name, arguments)
            self._warn(when, f"Run {self.run} has the time at which it was shipped: {error}")

    def _ending(self, done: Sequence[Path]) -> tuple[RunStatus | None, datetime | None]:
        newest = self._newest
        for journal in reversed(done):
            begun: Begun | None = None
            last: Measured | None = None
            for record, _ in self._entries(journal, 0):
                if isinstance(record, Ended):
                    return record.status, record.at
                begun = record if isinstance(record, Begun) else begun
                last = record if isinstance(record, Measured) else last
            newest = max(filter(None, (newest, _last_time(last))), default=None)
            if begun is not None:  # Journals of an earlier process may have gone, which ended before this one began.
                return "killed", max(begun.started, newest or begun.started)
        return self._reopened or (None, None)


def _last_time(measured: Measured | None) -> datetime | None:
    """When the last point of a segment was logged: the last that is known of a process that was killed."""
    times = memoryview(unpack(measured.segment).at).cast("q") if measured is not None else ()
    return from_micros(max(times)) if len(times) else None
