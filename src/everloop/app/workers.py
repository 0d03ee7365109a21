"""How the workers of this home's serving processes are: written by their supervisors, read by whoever asks."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

FOLDER = "processes"
WorkerState = Literal["starting", "ready", "draining"]


class WorkerStatus(msgspec.Struct, frozen=True):
    """A worker: its process, and how it is."""

    pid: int
    state: WorkerState
    memory_mb: int
    since: datetime


class ServingStatus(msgspec.Struct, frozen=True):
    """What a supervisor looks after. `quarantined` are models that are not run, by digest, and why."""

    what: str
    address: str
    pid: int
    wanted: int
    workers: tuple[WorkerStatus, ...]
    restarts: int = 0
    last_death: str = ""
    quarantined: dict[str, str] = {}

    @property
    def ready(self) -> int:
        """How many workers take requests."""
        return sum(worker.state == "ready" for worker in self.workers)


def write_status(home: Path, status: ServingStatus) -> None:
    """Replace what stands about this supervisor."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    fresh = folder / f".{status.pid}"
    fresh.write_bytes(msgspec.json.encode(status))
    fresh.replace(folder / f"{status.pid}.json")


def forget_status(home: Path, pid: int) -> None:
    """Take away what stands about a supervisor that has ended."""
    (home / FOLDER / f"{pid}.json").unlink(missing_ok=True)


def serving_statuses(home: Path) -> list[ServingStatus]:
    """How the supervisors that run are; what is left of one that was killed is passed over."""
    found = []
    for file in sorted((home / FOLDER).glob("[0-9]*.json")):
        try:
            status = msgspec.json.decode(file.read_bytes(), type=ServingStatus)
        except (OSError, msgspec.DecodeError):
            continue
        if _is_alive(status.pid):
            found.append(status)
    return sorted(found, key=lambda status: (status.what, status.pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
