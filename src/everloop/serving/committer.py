"""Group commit: what several turns have computed is written together, synced once, and only then answered."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

from everloop.kernel.errors import EverloopError, Unavailable
from everloop.serving.computed import Done

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.serving.encoded import EncodedBatch
    from everloop.serving.inferencelog import LogWriter
    from everloop.serving.segments import Place

log = logging.getLogger("everloop.serving")


class Commit:
    """The batches of a turn on their way into the log. `after` are others that this one's answers depend on.

    Unless `synced`, it is enough that the system has them.
    """

    def __init__(self, batches: Sequence[pa.RecordBatch | EncodedBatch] = (), after: Sequence[Commit] = ()) -> None:
        self.batches = list(batches)
        self.done: Done = _nobody
        self.settled = False
        self.synced = True
        self.error: EverloopError | None = None
        self.after = list(after)
        self._followers: list[Commit] = []

    def kept(self, places: Sequence[Place]) -> None:
        """Called when the batches are durable, with where they stand."""

    def lost(self, error: Unavailable) -> EverloopError | None:
        """Called when they could not be written; what the askers are told, None when they get their answers."""
        return error

    def written(self, places: Sequence[Place], error: Unavailable | None) -> None:
        """Tell who waits how it went, as soon as what this depends on is known too."""
        if error is None:
            self.kept(places)
        else:
            self.error = self.lost(error)
        self._settle()

    def _settle(self) -> None:
        for other in self.after:
            if not other.settled:
                other._followers.append(self)
                return
            self.error = self.error or other.error
        self.settled, self.after = True, []
        try:
            self.done(self.error)
        except Exception:  # What the askers do with it must not end the only thread that writes.
            log.exception("A turn that was logged could not be answered")
        for follower in self._followers:
            follower._settle()


class Committer:
    """The one thread that writes a log. While it syncs, the next turns are computed, and join the next sync."""

    def __init__(self, writer: LogWriter, name: str) -> None:
        self._writer = writer
        self._queue: SimpleQueue[Commit | None] = SimpleQueue()
        self._starting, self._is_working, self._is_closed = Lock(), False, False
        self._thread = Thread(target=self._work, name=f"commit {name}", daemon=True)

    def submit(self, commit: Commit) -> None:
        """Queue a turn; they are settled in this order. One that comes after the end is lost at once."""
        with self._starting:
            if not self._is_closed:
                self._start()
                self._queue.put(commit)
                return
        commit.written([], Unavailable("The log is closed: this process ends.", hint="Try again elsewhere."))

    def close(self) -> None:
        """Write what is queued, and end."""
        with self._starting:
            self._is_closed = True
        if self._is_working:
            self._queue.put(None)
            self._thread.join()
        self._writer.close()

    def _start(self) -> None:
        if not self._is_working:
            self._thread.start()
            self._is_working = True

    def _work(self) -> None:
        for taken in self._taken():
            for _, run in groupby(taken, _schema_of):
                self._write(list(run))

    def _taken(self) -> Iterator[list[Commit]]:
        """All that is queued, whenever something is, until the end."""
        going = True
        while going:
            found = [self._queue.get()]
            with suppress(Empty):
                while True:
                    found.append(self._queue.get_nowait())
            going = None not in found
            yield [commit for commit in found if commit is not None]

    def _write(self, commits: Sequence[Commit]) -> None:
        batches = [batch for commit in commits for batch in commit.batches]
        error, places = None, list["Place"]()
        try:
            write = self._writer.append_all if any(commit.synced for commit in commits) else self._writer.hand_over
            places = write(batches) if batches else []
        except Unavailable as why:
            error = why
        except Exception as why:  # The only thread that writes must go on, and who waits must hear of it.
            log.exception("What was computed could not be logged")
            error = Unavailable(f"The log could not be written ({type(why).__name__}).", hint="The process says why.")
        at = 0
        for commit in commits:
            stop = at + len(commit.batches)
            commit.written(places[at:stop], error if commit.batches else None)
            at = stop


def _schema_of(commit: Commit) -> int:
    """Turns of one schema follow each other in a segment; a turn has one schema, or nothing to write."""
    return id(commit.batches[0].schema) if commit.batches else 0


def _nobody(error: EverloopError | None) -> None:
    return None
