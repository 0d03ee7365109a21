"""Packs written anew: without what is dead or there twice, small ones together, loose objects into packs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec
import numpy as np
import numpy.typing as npt

from everloop.kernel.clock import micros
from everloop.kernel.errors import Corrupted, NotFound
from everloop.store.bulk import Bulk
from everloop.store.digests import Digests
from everloop.store.entities import Digest
from everloop.store.frames import FrameWriter, whole_frames
from everloop.store.inventory import Inventory, Pack, Table, places, table_of
from everloop.store.objects import OBJECTS, Objects, digest_at, footer_key, loose_key, payload_key, raw_of, verified
from everloop.store.packs import RECIPE, TARGET, TREE

_MOSTLY = 0.5
"""A pack is written anew when less than this share of its bytes is needed."""
_FEW = 8
"""So many small packs of about one size become one."""
_WORTH = 16
"""Fewer loose objects are left as they are."""
_BATCH = 1 << 30
"""So many bytes are written anew before what they replace is removed: a sweep needs so much room at most."""

Mask = npt.NDArray[np.bool_]


class Going(msgspec.Struct, frozen=True):
    """A pack that goes, and which of its rows are not carried over: those that are dead, those that are there twice."""

    pack: Pack
    table: Table
    dead: Mask
    twice: Mask

    @property
    def lost(self) -> Digests:
        """What goes for good."""
        return Digests(self.table["digest"][self.dead])

    @property
    def needed(self) -> Table:
        """What has to be carried over."""
        return self.table[~(self.dead | self.twice)]

    @property
    def freed(self) -> int:
        """The bytes that its going frees."""
        if not len(self.needed):
            return self.pack.info.size
        return int(self.table["stored"][self.dead | self.twice].sum())

    @property
    def carried(self) -> int:
        """The bytes that have to be written anew."""
        return int(self.needed["stored"].sum())


def going(objects: Objects, found: Inventory, doomed: Digests, oldest: datetime, *, thorough: bool) -> list[Going]:
    """The old packs that go, and what of them does."""
    chosen: list[Going] = []
    merged = _small(found, oldest)
    held: set[bytes] = set()
    for pack in sorted(found.packs, key=lambda pack: (pack.written <= oldest, -pack.info.size, pack.info.name)):
        try:
            table = table_of(objects, pack.info)
        except (NotFound, Corrupted):  # Another sweep was faster.
            continue
        twice = _twice(table, found.duplicates, held)
        dead = doomed.holds(table["digest"])
        if pack.written <= oldest and (pack.info.name in merged or _goes(table, dead, dead | twice, thorough)):
            chosen.append(Going(pack, table, dead, twice & ~dead))
    return chosen


def batches(chosen: list[Going]) -> Iterator[list[Going]]:
    """Some packs at a time: as many as may be written anew before any is removed."""
    batch: list[Going] = []
    for each in chosen:
        batch.append(each)
        if sum(one.carried for one in batch) >= _BATCH:
            yield batch
            batch = []
    yield batch


def carry_over(objects: Objects, chosen: list[Going]) -> list[Going]:
    """Write what is needed of packs to others; the packs of which that worked."""
    done = []
    writer = FrameWriter(objects)
    try:
        for each in chosen:
            try:
                for frame in whole_frames(objects, places(each.pack.info, each.needed)):
                    writer.add(frame)
            except (Corrupted, NotFound):  # It stays, for fsck to report and mend; or another sweep was faster.
                continue
            done.append(each)
        writer.flush()
    finally:
        writer.close()
    return [each for each in done if each.pack.info.name not in writer.names]


def remove(objects: Objects, each: Going) -> None:
    """Remove a pack."""
    for key in {payload_key(each.pack.info), footer_key(each.pack.info)}:
        objects.blobs.delete(key)


def pack_loose(objects: Objects, found: Inventory, kept: Digests, oldest: datetime) -> None:
    """Put what is loose, needed and old into packs."""
    old = (found.loose.written <= micros(oldest)) & kept.holds(found.loose.digests.raws)
    if old.sum() < _WORTH:
        return
    chosen = Digests(found.loose.digests.raws[old], unique=True)
    packed = []
    bulk = Bulk(objects)
    try:
        for raw in chosen:
            try:
                bulk.add(Digest(raw.hex()), verified(objects.blobs.get(loose_key(raw)), raw))
            except (Corrupted, NotFound):  # It stays, for fsck to report and mend; or another sweep was faster.
                continue
            packed.append(raw)
        bulk.flush()
    finally:
        bulk.close()
    remove_loose(objects, Digests.of(packed), oldest)


def remove_loose(
    objects: Objects, chosen: Digests, oldest: datetime, go_on: Callable[[], None] = lambda: None
) -> Digests:
    """Delete loose objects but for those that somebody has touched since; those that went."""
    gone = []
    for start, raws in groupby(chosen, lambda raw: raw[:1]):
        wanted = set(raws)
        for blob in list(objects.blobs.keys(f"{OBJECTS}{start.hex()}/")):
            raw = raw_of(digest_at(blob.key))
            if raw in wanted and blob.modified <= oldest:
                go_on()
                objects.blobs.delete(blob.key)
                gone.append(raw)
    return Digests.of(gone)


def _goes(table: Table, dead: Mask, dropped: Mask, thorough: bool) -> bool:
    """Whether a pack is removed, after what is needed of it was written to another."""
    if dropped.all() or (thorough and dead.any()):
        return True
    # A recipe or folder that stayed without what it names would be taken for whole by the next who puts it.
    if np.isin(table["kind"][dead], (RECIPE, TREE)).any():
        return True
    return bool(table["stored"][dropped].sum() > table["stored"].sum() * (1 - _MOSTLY))


def _twice(table: Table, duplicates: Digests, held: set[bytes]) -> Mask:
    """The rows that another pack, looked at before, holds as well."""
    twice = duplicates.holds(table["digest"])
    for at in np.flatnonzero(twice):
        raw = table["digest"][at : at + 1].tobytes()
        twice[at] = raw in held
        held.add(raw)
    return twice


def _small(found: Inventory, oldest: datetime) -> set[bytes]:
    """The names of old packs that are small, and of which there are several of about one size."""
    tiers: dict[tuple[bool, int], list[bytes]] = {}
    for pack in found.packs:
        if pack.written <= oldest and not pack.info.adopted and pack.info.size < TARGET // 4:
            tiers.setdefault((pack.folders, pack.info.size.bit_length() // 2), []).append(pack.info.name)
    return {name for names in tiers.values() if len(names) >= _FEW for name in names}


def objects_of(chosen: Iterable[Going]) -> bytes:
    """What a removal of packs announces: all that goes, and the packs' names."""
    return b"".join(each.lost.tobytes() + each.pack.info.name for each in chosen)
