"""What lies in a store: listed once, and kept in 32 bytes for each object, so that a sweep of millions is cheap."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from everloop.kernel.clock import micros
from everloop.kernel.errors import Corrupted, NotFound
from everloop.store.blobs import Blob
from everloop.store.digests import TYPE, WIDTH, Digests
from everloop.store.index import PackInfo, Place
from everloop.store.objects import ADOPTED, LEASES, OBJECTS, SIDECARS, Objects, digest_at, raw_of
from everloop.store.packs import WHOLE

MARK = "marks/sweep"
STAGING = "staging/"
TABLE = np.dtype(
    [("digest", TYPE), ("offset", "<u8"), ("stored", "<u4"), ("size", "<u4"), ("codec", "u1"), ("kind", "u1")]
)
"""The table of a pack, as an array."""
Table = npt.NDArray[np.void]


class Pack(msgspec.Struct, frozen=True):
    """A pack whose footer is whole: when it was written, how many objects it lists, the bytes of these."""

    info: PackInfo
    written: datetime
    objects: int
    stored: int
    folders: bool


class Loose(msgspec.Struct, frozen=True):
    """The loose objects: digests, sizes in bytes, when they were written in microseconds; in order of the digests."""

    digests: Digests
    sizes: npt.NDArray[np.int64]
    written: npt.NDArray[np.int64]


class Inventory(msgspec.Struct, frozen=True):
    """All that lies in the store, as it was listed; `now` by the place's clock. `inner` are recipes and folders.

    `torn` are the keys of packs whose footer cannot be read, `stray` what killed writers left.
    """

    now: datetime
    packs: list[Pack]
    torn: list[str]
    loose: Loose
    inner: Digests
    digests: Digests
    leases: list[Blob]
    stray: list[Blob]
    duplicates: Digests

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return len(self.digests)


def take(objects: Objects, known: frozenset[bytes] = frozenset()) -> Inventory:
    """List the store, but for the packs of these names."""
    now = clock_of(objects)
    objects.refresh()
    packs: list[Pack] = []
    torn: list[str] = []
    every, inner = bytearray(), bytearray()
    for name, (blob, adopted) in objects.listed().items():
        if name in known:
            continue
        info = PackInfo(name, blob.size, adopted)
        try:
            table = table_of(objects, info)
        except NotFound:  # Another sweep has removed it.
            continue
        except Corrupted:
            torn.append(blob.key)
            continue
        within = table["digest"][table["kind"] != WHOLE]
        every += table["digest"].tobytes()
        inner += within.tobytes()
        packs.append(Pack(info, blob.modified, len(table), int(table["stored"].sum()), len(within) > 0))
    loose = _loose(objects)
    packed = np.sort(np.frombuffer(every, TYPE)) if every else np.empty(0, TYPE)
    twice = packed[1:][packed[1:] == packed[:-1]]
    return Inventory(
        now=now,
        packs=packs,
        torn=torn,
        loose=loose,
        inner=Digests.packed(inner),
        digests=Digests(packed) | loose.digests,
        leases=list(objects.blobs.keys(LEASES)),
        stray=list(_stray(objects)),
        duplicates=Digests(twice),
    )


def clock_of(objects: Objects) -> datetime:
    """What time it is at the place: ours may differ, and may be a simulated one."""
    objects.blobs.put(MARK, b"")
    return next(objects.blobs.keys(MARK)).modified


def table_of(objects: Objects, info: PackInfo) -> Table:
    """What a pack lists.

    Raises:
        Corrupted: its footer is damaged.
        NotFound: it is gone.
    """
    return np.frombuffer(objects.table(info), TABLE)


def places(info: PackInfo, rows: Table) -> list[Place]:
    """Where the objects of some rows of a pack's table lie."""
    data = rows["digest"].tobytes()
    columns = zip(*(rows[name].tolist() for name in ("offset", "stored", "size", "codec", "kind")), strict=True)
    return [
        Place(data[WIDTH * at : WIDTH * at + WIDTH], offset, stored, size, codec, kind, info)
        for at, (offset, stored, size, codec, kind) in enumerate(columns)
    ]


def leased(objects: Objects, leases: Iterable[Blob]) -> Digests:
    """What somebody relies on."""
    listed = bytearray()
    for lease in leases:
        try:
            listed += objects.blobs.get(lease.key)
        except NotFound:
            continue
    return Digests.packed(listed)


def young(objects: Objects, found: Inventory, grace: timedelta) -> Digests:
    """What was written or relied on lately."""
    oldest = found.now - grace
    written = found.loose.written > micros(oldest)
    fresh = Digests(found.loose.digests.raws[written], unique=True)
    for pack in found.packs:
        if pack.written > oldest:
            fresh |= Digests(table_of(objects, pack.info)["digest"])
    return fresh | leased(objects, [lease for lease in found.leases if lease.modified > oldest])


def _loose(objects: Objects) -> Loose:
    raws, sizes, written = bytearray(), array("q"), array("q")
    for blob in objects.blobs.keys(OBJECTS):
        raws += raw_of(digest_at(blob.key))
        sizes.append(blob.size)
        written.append(micros(blob.modified))
    if not raws:
        return Loose(Digests(), np.empty(0, np.int64), np.empty(0, np.int64))
    unsorted = np.frombuffer(raws, TYPE)
    order = np.argsort(unsorted)
    return Loose(
        Digests(unsorted[order], unique=True),
        np.frombuffer(sizes, np.int64)[order],
        np.frombuffer(written, np.int64)[order],
    )


def _stray(objects: Objects) -> Iterator[Blob]:
    """What killed writers left. The files of adopted packs are none of it, even when what says so is torn."""
    adopted = {blob.key.replace(SIDECARS, ADOPTED, 1) for blob in objects.blobs.keys(SIDECARS)}
    yield from objects.blobs.keys(STAGING)
    yield from (blob for blob in objects.blobs.keys(ADOPTED) if blob.key not in adopted)
