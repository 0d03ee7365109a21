"""The trash: what a sweep found needless stays where it is for a while, and a list says since when.

Nothing moves: whoever needs an object meanwhile finds it, and who puts it again, or points to it, takes it out of the
trash by that. A list is `trash/<stamp>-<hash>`, digests back to back; it never changes, only another takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from blake3 import blake3

from everloop.kernel.errors import NotFound
from everloop.store.blobs import Blobs
from everloop.store.digests import Digests
from everloop.store.entities import TrashBin, Undeleted
from everloop.store.leases import rely
from everloop.store.objects import Objects

TRASH = "trash/"
_FORM = "%Y%m%dT%H%M%SZ"


class Bin(msgspec.Struct, frozen=True):
    """What one sweep condemned, and when, by the place's clock; `stamp` names it."""

    stamp: str
    at: datetime
    key: str
    digests: Digests


def bins(blobs: Blobs) -> Iterator[Bin]:
    """All that is in the trash, oldest first."""
    for blob in sorted(blobs.keys(TRASH), key=lambda blob: blob.key):
        stamp = blob.key.removeprefix(TRASH).partition("-")[0]
        try:
            at = datetime.strptime(stamp, _FORM).replace(tzinfo=UTC)
            yield Bin(stamp, at, blob.key, Digests.packed(blobs.get(blob.key)))
        except (ValueError, NotFound):  # Not ours; another sweep was faster.
            continue


def condemn(blobs: Blobs, at: datetime, digests: Digests) -> str:
    """Put objects into the trash; the stamp."""
    stamp = at.strftime(_FORM)
    data = digests.tobytes()
    blobs.put(f"{TRASH}{stamp}-{blake3(data).hexdigest(length=8)}", data)
    return stamp


def narrow(blobs: Blobs, found: Bin, left: Digests) -> None:
    """Let only some of what is in a bin stay there: its time stays the same."""
    if len(left) == len(found.digests):
        return
    if left:
        condemn(blobs, found.at, left)
    blobs.delete(found.key)


def listed(objects: Objects) -> list[TrashBin]:
    """What is in the trash, oldest first: what one sweep condemned is one bin."""
    return [TrashBin(stamp, each[0].at, len(_all(each))) for stamp, each in _by_stamp(objects.blobs).items()]


def undelete(objects: Objects, stamp: str) -> Undeleted:
    """Take a bin (or `all`) out of the trash: its objects are as safe from sweeps as if they were written now.

    Raises:
        NotFound: there is no such bin.
    """
    chosen = {name: each for name, each in _by_stamp(objects.blobs).items() if stamp in (name, "all")}
    if not chosen and stamp != "all":
        raise NotFound(f"There is no {stamp!r} in the trash.", hint="everloop store trash lists what there is.")
    found = [each for some in chosen.values() for each in some]
    digests = _all(found)
    gone = rely(objects, digests)
    for each in found:
        objects.blobs.delete(each.key)
    return Undeleted(tuple(chosen), len(digests) - len(gone), len(gone))


def _by_stamp(blobs: Blobs) -> dict[str, list[Bin]]:
    found: dict[str, list[Bin]] = {}
    for each in bins(blobs):
        found.setdefault(each.stamp, []).append(each)
    return found


def _all(some: list[Bin]) -> Digests:
    digests = Digests()
    for each in some:
        digests |= each.digests
    return digests
