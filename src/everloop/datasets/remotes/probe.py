"""What a place can do, found out by trying: nothing that a server says of itself is believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

import msgspec

from everloop.datasets.remotes.entities import Probe, RefScheme
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, Misconfigured, NotFound, PermissionDenied
from everloop.store.blobs import Blobs

T = TypeVar("T")
FORMAT = "remote/format"
_FIRST, _SECOND = b"first words of a probe", b"second words of a probe"


class Format(msgspec.Struct, frozen=True):
    """What every platform that uses a place has to agree on; kept there by the first."""

    refs: RefScheme
    version: int = 1


def probe(blobs: Blobs, identity: str) -> Probe:
    """Try reading, listing and writing, plainly and under conditions, below a key of our own; nothing is left behind.

    A place that can only be read is fine. `identity` makes the keys unique.

    Raises:
        Misconfigured: what was written does not come back, or is not listed.
        Unavailable: it does not answer.
    """
    tried = _Trial(blobs, f"probe/{identity}")
    try:
        writes = tried.writes()
        if not writes:
            tried.lists()
            return Probe(False, False, False, False, tried.milliseconds)
        tried.reads_back()
        return Probe(True, tried.ranges(), tried.creates_once(), tried.swaps(), tried.milliseconds)
    finally:
        tried.tidy()


def settle(blobs: Blobs, found: Probe) -> RefScheme:
    """How refs move at a place: as its first user settled it, or as it can, if that is us.

    Raises:
        Misconfigured: it was settled on conditional writes and does not honour them now.
    """
    known = _known(blobs)
    if known is None:
        scheme: RefScheme = "conditional" if found.conditional else "claims"
        if found.writes:
            blobs.put(FORMAT, msgspec.json.encode(Format(scheme)))
            known = _known(blobs)  # Somebody else may have settled it at the same time: the last one counts for all.
        return known.refs if known else scheme
    if known.refs == "conditional" and found.writes and not found.conditional:
        raise Misconfigured(
            "This place was set up through a server that honours conditional writes, and this one ignores them.",
            hint="Reach it as the others do: two ways to move a ref would not see each other.",
        )
    return known.refs


def _known(blobs: Blobs) -> Format | None:
    try:
        return msgspec.json.decode(blobs.get(FORMAT), type=Format)
    except NotFound:
        return None
    except msgspec.DecodeError as error:
        raise Misconfigured(
            f"{FORMAT} at the remote is not ours ({error}).", hint="Choose an empty prefix, or a newer everloop."
        ) from None


class _Trial:
    def __init__(self, blobs: Blobs, prefix: str) -> None:
        self._blobs = blobs
        self._prefix = prefix
        self._seconds: list[float] = []

    @property
    def milliseconds(self) -> float:
        return round(median(self._seconds) * 1000, 1) if self._seconds else 0.0

    def writes(self) -> bool:
        try:
            self._timed(lambda: self._blobs.put(self._key("plain"), _FIRST))
        except PermissionDenied:
            return False
        return True

    def reads_back(self) -> None:
        self._require(self._timed(lambda: self._blobs.get(self._key("plain"))) == _FIRST, "come back")
        self._require(any(key == self._key("plain") for key in self.lists()), "show up in the listing")

    def lists(self) -> list[str]:
        return self._timed(lambda: [blob.key for blob in self._blobs.keys(f"{self._prefix}/")])

    def ranges(self) -> bool:
        return self._timed(lambda: self._blobs.get_range(self._key("plain"), 6, 5)) == _FIRST[6:11]

    def creates_once(self) -> bool:
        """Whether the second of two first writes is refused, and changes nothing."""
        key = self._key("once")
        if not self._swapped(key, _FIRST, None):
            return False
        refused = not self._swapped(key, _SECOND, None)
        return refused and self._blobs.get(key) == _FIRST

    def swaps(self) -> bool:
        """Whether a write is refused when what it would replace is not what was read, and is made when it is."""
        key = self._key("swap")
        self._blobs.put(key, _FIRST)
        stale = self._blobs.read_tagged(key)[1]
        if not self._swapped(key, _SECOND, stale):
            return False
        refused = not self._swapped(key, _FIRST, stale)
        return refused and self._blobs.get(key) == _SECOND

    def tidy(self) -> None:
        for name in ("plain", "once", "swap"):
            try:
                self._blobs.delete(self._key(name))
            except EverloopError:  # What brought us here is what matters; a probe's few bytes are harmless.
                return

    def _swapped(self, key: str, data: bytes, expected: str | None) -> bool:
        try:
            self._timed(lambda: self._blobs.swap(key, data, expected))
        except (Conflict, InvalidInput):
            return False
        return True

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"

    def _timed(self, request: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return request()
        finally:
            self._seconds.append(time.perf_counter() - start)

    def _require(self, holds: bool, what: str) -> None:
        if not holds:
            raise Misconfigured(
                f"What was written does not {what}.",
                hint="The place must show a write to the next read; choose another.",
            )
