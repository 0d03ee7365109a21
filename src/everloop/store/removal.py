"""How those who remove and those who write at the same time keep out of each other's way, on any kind of place.

Who removes says first what, under `removals/`, and only then looks for what others have come to rely on. Who relies on
something (by a lease, a touch, a write of the same key) does so first and then looks under `removals/`: one of both
sees the other. A writer that finds something of its own there waits until it is gone, and looks whether it still has
what it needs.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from datetime import datetime
from types import TracebackType

from everloop.kernel.errors import NotFound, Unavailable
from everloop.store.blobs import Blobs

REMOVALS = "removals/"
DEAD = 60.0
"""After so many seconds without a sign of life a removal belongs to a process that died."""
_BEAT = DEAD / 6
_PAUSE = 0.05


class Removal:
    """A removal under way: says what goes (digests of objects, names of packs), and that it is alive."""

    def __init__(self, blobs: Blobs, raws: bytes) -> None:
        self._blobs = blobs
        self._place = f"{REMOVALS}{secrets.token_hex(8)}"
        self._raws = raws
        self._beats = 0
        self._last = time.monotonic()

    def __enter__(self) -> Removal:
        self._blobs.put(f"{self._place}-list", self._raws)
        self._last = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _forget(self._blobs, self._place)

    def go_on(self) -> None:
        """Ask before each thing that is removed; gives a sign of life now and then.

        Raises:
            Unavailable: this process slept so long that others take it for dead.
        """
        silent = time.monotonic() - self._last
        if silent > DEAD / 2:
            raise Unavailable("The removal was interrupted for too long.", hint="Run it again: it goes on.")
        if silent > _BEAT:
            self._beats += 1
            self._blobs.put(f"{self._place}-beat.{self._beats}", b"")
            self._last = time.monotonic()


def wait_for_removals(blobs: Blobs, raws: Collection[bytes]) -> bool:
    """Wait until nobody removes any of these any more; whether somebody did. One listing when nobody does."""
    threats = _threats(blobs, raws)
    for place in threats:
        signs, since = _signs(blobs, place), time.monotonic()
        while signs:
            if time.monotonic() - since > DEAD:
                _forget(blobs, place)
                break
            time.sleep(_PAUSE)
            now = _signs(blobs, place)
            if now != signs:
                signs, since = now, time.monotonic()
    return bool(threats)


def forget_dead(blobs: Blobs, now: datetime) -> None:
    """Take away what removals left that died: those that gave no sign of life for long, by the place's clock."""
    newest: dict[str, datetime] = {}
    for blob in blobs.keys(REMOVALS):
        newest[_place(blob.key)] = max(blob.modified, newest.get(_place(blob.key), blob.modified))
    for place, seen in newest.items():
        if (now - seen).total_seconds() > DEAD:
            _forget(blobs, place)


def _threats(blobs: Blobs, raws: Collection[bytes]) -> list[str]:
    """The removals under way that list any of these."""
    found = []
    for place in {_place(blob.key) for blob in blobs.keys(REMOVALS)}:
        try:
            listed = blobs.get(f"{place}-list")
        except NotFound:
            continue
        if any(listed[at : at + 32] in raws for at in range(0, len(listed), 32)):
            found.append(place)
    return found


def _place(key: str) -> str:
    return key.rpartition("-")[0]


def _signs(blobs: Blobs, place: str) -> set[str]:
    return {blob.key for blob in blobs.keys(f"{place}-")}


def _forget(blobs: Blobs, place: str) -> None:
    """The list last: while there is anything of it, writers wait."""
    for key in sorted(_signs(blobs, place)):
        blobs.delete(key)
