"""Is everything there, and does it hang together: footers, index, adopted files, and the parts of folders and recipes.

It reads what names other objects, and no file: `verify` reads all bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from everloop.kernel.progress import SILENT, Progress
from everloop.store.digests import Digests
from everloop.store.entities import Digest, Fault
from everloop.store.inventory import Inventory, Pack, table_of, take
from everloop.store.objects import Objects, loose_key, payload_key
from everloop.store.reach import Parts, parts_of

_NAMED = 1_000
"""So many missing parts are named; a torn pack may have held millions."""


class Examination(msgspec.Struct, frozen=True):
    """What was found: the store as it was listed, its faults, and for each object at fault all that leads to it."""

    found: Inventory
    faults: list[Fault]
    above: dict[bytes, set[bytes]]
    missing: int


def examine(objects: Objects, progress: Progress = SILENT) -> Examination:
    """Look at everything but the bytes of files."""
    found = take(objects)
    faults = [Fault("torn pack", key, "", "Its footer is cut off or damaged.") for key in found.torn]
    faults += _adopted(objects, found)
    faults += _index(objects, found)
    unread, missing = _holes(objects, found, progress)
    faults += [Fault("unreadable", _key(objects, raw), _hex(raw), "It cannot be read.") for raw in unread]
    named = list(missing)[:_NAMED]
    faults += [Fault("missing part", "", _hex(raw), "It is not there, and something is made of it.") for raw in named]
    above = _above(objects, found, [*unread, *named]) if unread or named else {}
    return Examination(found, faults, above, len(missing))


def _adopted(objects: Objects, found: Inventory) -> Iterator[Fault]:
    """Adopted files that are gone or were cut off."""
    for pack in found.packs:
        if not pack.info.adopted:
            continue
        key = payload_key(pack.info)
        size = next((blob.size for blob in objects.blobs.keys(key) if blob.key == key), -1)
        table = table_of(objects, pack.info)
        if size < int((table["offset"] + table["stored"]).max(initial=0)):
            yield Fault("adopted file", key, "", "It is gone." if size < 0 else "Somebody cut it off.")


def _index(objects: Objects, found: Inventory) -> Iterator[Fault]:
    """Packs that the index knows wrongly."""
    sums = objects.index.sums()
    for pack in found.packs:
        if sums.get(pack.info.name) != _sum(objects, pack):
            reason = "The index has other places for it: everloop store fsck --rebuild mends that."
            yield Fault("index", payload_key(pack.info), "", reason)


def _sum(objects: Objects, pack: Pack) -> tuple[int, int, int, int]:
    table = table_of(objects, pack.info)
    offset, stored, size = (int(table[name].astype(np.int64).sum()) for name in ("offset", "stored", "size"))
    return len(table), offset, stored, size


def _holes(objects: Objects, found: Inventory, progress: Progress) -> tuple[list[bytes], Digests]:
    """Folders and recipes that cannot be read, and parts of the others that are not there."""
    read, missing = bytearray(), bytearray()
    for done, (raw, parts) in enumerate(_all_parts(objects, found), 1):
        read += raw
        named = Digests.packed(parts.folders + parts.rest)
        if not found.digests.holds(named.raws).all():
            missing += (named - found.digests).tobytes()
        if done % 1_000 == 0:
            progress.advance(done, None, "examined", "files")
    return list(found.inner - Digests.packed(read)), Digests.packed(missing)


def _all_parts(objects: Objects, found: Inventory) -> Iterator[tuple[bytes, Parts]]:
    return parts_of(objects, found, found.inner | found.loose.digests, strict=False)


def _above(objects: Objects, found: Inventory, wanted: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """For each of some objects all that leads to it, itself included."""
    starts = list(wanted)
    inner = found.inner | Digests.of(starts)
    parents: dict[bytes, list[bytes]] = {}
    for raw, parts in _all_parts(objects, found):
        for child in Digests.packed(parts.folders + parts.rest) & inner:
            parents.setdefault(child, []).append(raw)
    return {raw: _ancestors(raw, parents) for raw in starts}


def _ancestors(start: bytes, parents: dict[bytes, list[bytes]]) -> set[bytes]:
    seen, waiting = {start}, [start]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    return seen


def _key(objects: Objects, raw: bytes) -> str:
    place = objects.index.place(raw)
    return payload_key(place.pack) if place else loose_key(raw)


def _hex(raw: bytes) -> Digest:
    return Digest(raw.hex())
