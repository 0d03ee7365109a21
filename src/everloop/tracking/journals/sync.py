"""Ships what was left: runs that were recorded offline, and runs whose process was killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from everloop.kernel.errors import EverloopError
from everloop.kernel.progress import SILENT, Progress
from everloop.tracking.journals import locks
from everloop.tracking.journals.destination import Destination
from everloop.tracking.journals.journal import entries, journals
from everloop.tracking.journals.records import Begun, Ended, Measured
from everloop.tracking.journals.shipment import SHIPPING, NotYet, Shipment

Outcome = Literal["left", "sent", "partly sent", "in use", "failed"]


class Left(msgspec.Struct, frozen=True):
    """A run in the journals of this machine: what it holds, and what became of it.

    `in use` is one that a process records right now; `partly sent` one of which a worker is still alive.
    """

    run: str
    experiment: str
    name: str
    status: str
    points: int
    bytes: int
    outcome: Outcome
    problem: str = ""


def left_in(folder: Path) -> Iterator[Left]:
    """The runs that a folder of journals holds, oldest first: nothing is sent."""
    for path in _runs(folder):
        yield _described(path, "left" if locks.is_free(path / SHIPPING) else "in use")


def sync(
    folder: Path, destination: Destination, warn: Callable[[str, str], None], progress: Progress = SILENT
) -> Iterator[Left]:
    """Send every run that nobody records any more, oldest first, exactly once however often it is interrupted."""
    for path in _runs(folder):
        if not locks.hold(path / SHIPPING):
            yield _described(path, "in use")
            continue
        found = _described(path, "left")
        try:
            whole = Shipment(path, destination, warn, progress).end()
        except NotYet as error:  # Its parent is being recorded right now.
            yield msgspec.structs.replace(found, outcome="in use", problem=error.message)
        except EverloopError as error:
            yield msgspec.structs.replace(found, outcome="failed", problem=str(error))
        else:
            yield msgspec.structs.replace(found, outcome="sent" if whole else "partly sent")
        finally:
            locks.release(path / SHIPPING)


def _runs(folder: Path) -> list[Path]:
    if journals(folder):
        return [folder]
    return sorted(path for path in folder.glob("*") if journals(path))


def _described(path: Path, outcome: Outcome) -> Left:
    begun: Begun | None = None
    status, points, size = "killed", 0, 0
    for journal in journals(path):
        size += journal.stat().st_size
        for entry in entries(journal, whole=True):
            if isinstance(entry.record, Begun):
                begun, status = entry.record if begun is None else begun, "killed"
            elif isinstance(entry.record, Ended):
                status = entry.record.status
            elif isinstance(entry.record, Measured):
                points += entry.record.count
    named = (begun.experiment, begun.name) if begun is not None else ("", "")
    status = "running" if outcome == "in use" else status
    return Left(path.name, *named, status, points, size, outcome)
