"""Leases: lists of objects that somebody found instead of writing, as safe from sweeps as if they were written now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from blake3 import blake3

from everloop.kernel.errors import Conflict
from everloop.store.objects import LEASES, Objects
from everloop.store.removal import wait_for_removals

_AT_ONCE = 100_000
"""Digests in one lease."""


def rely(objects: Objects, raws: Iterable[bytes], packs: Collection[bytes] = ()) -> set[bytes]:
    """Keep objects from sweeps for as long as what was just written; those that are not there (any more).

    Raises:
        Conflict: a sweep has removed one of these packs, which were just written.
    """
    listed = sorted(set(raws))
    for at in range(0, len(listed), _AT_ONCE):
        _put(objects, listed[at : at + _AT_ONCE])
    threatened = settle(objects, [*listed, *packs])
    if threatened and not objects.index.packs().keys() >= set(packs):
        raise Conflict("A sweep removed what was just written again.", hint="Do it again.")
    if listed and not threatened and objects.blobs.local is None:
        objects.refresh()  # The index of a folder is everybody's; that of any other place is ours alone.
    return objects.missing(listed)


def lease(objects: Objects, raws: Iterable[bytes], packs: Collection[bytes] = ()) -> None:
    """Keep objects from sweeps for as long as what was just written, and packs that were.

    Raises:
        Conflict: a sweep has removed one meanwhile.
    """
    missing = rely(objects, raws, packs)
    if missing:
        raise Conflict(
            f"A sweep removed what was just to be used again ({min(missing).hex()} for one).", hint="Do it again."
        )


def settle(objects: Objects, raws: Collection[bytes]) -> bool:
    """After relying on objects: wait until nobody removes any of them; whether somebody did, and they may be gone."""
    threatened = wait_for_removals(objects.blobs, frozenset(raws))
    if threatened:
        objects.refresh()
    return threatened


def _put(objects: Objects, listed: Sequence[bytes]) -> None:
    data = b"".join(listed)
    name = blake3(data).hexdigest()
    key = f"{LEASES}{name[:2]}/{name[2:]}"
    if not objects.blobs.touch(key):
        objects.blobs.put(key, data)
