"""Garbage collection: what no root reaches goes, object by object, loose or packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from everloop.kernel.errors import Corrupted, InvalidInput, NotFound
from everloop.store import chunks, packs, trees
from everloop.store.blobs import Blob
from everloop.store.bulk import Bulk
from everloop.store.entities import Digest, SweepReport
from everloop.store.index import PackInfo, Place
from everloop.store.objects import (
    ADOPTED,
    LEASES,
    OBJECTS,
    PACKS,
    SIDECARS,
    Objects,
    digest_at,
    footer_key,
    loose_key,
    payload_key,
    raw_of,
    unpacked,
    verified,
)
from everloop.store.packs import RECIPE, TREE, Row

MARK = "marks/sweep"
_STAGING = "staging/"
_MOSTLY = 0.5
"""A pack is written anew when less than this share of its bytes is needed."""
_WORTH = 16
"""Fewer loose objects are left as they are."""


class _Pack(msgspec.Struct, frozen=True):
    """A pack, what it lists, whether it is young."""

    info: PackInfo
    rows: list[Row]
    young: bool

    def dead(self, live: set[bytes]) -> list[Row]:
        """What nobody needs in it."""
        return [row for row in self.rows if row.digest not in live]

    def goes(self, live: set[bytes]) -> bool:
        """Whether it is removed, after what is needed of it was written to another."""
        if self.young:
            return False
        dead = self.dead(live)
        # A recipe or folder that stayed without what it names would be taken for whole by the next who puts it.
        if len(dead) == len(self.rows) or any(row.kind in (RECIPE, TREE) for row in dead):
            return True
        return sum(row.stored for row in dead) > sum(row.stored for row in self.rows) * (1 - _MOSTLY)

    def freed(self, live: set[bytes]) -> int:
        """The bytes that its going frees."""
        dead = self.dead(live)
        return self.info.size if len(dead) == len(self.rows) else sum(row.stored for row in dead)


class _Inventory(msgspec.Struct, frozen=True):
    """All that lies in the store, as it was listed."""

    loose: list[Blob]
    packs: list[_Pack]
    leases: list[Blob]
    left: list[Blob]
    oldest: datetime

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return len(self.loose) + len(self.left) + sum(len(pack.rows) for pack in self.packs)

    def young(self) -> Iterator[bytes]:
        """What was written lately."""
        yield from (raw_of(digest_at(blob.key)) for blob in self.loose if blob.modified > self.oldest)
        yield from (row.digest for pack in self.packs if pack.young for row in pack.rows)


def sweep(objects: Objects, roots: Iterable[Digest], *, dry_run: bool, grace: timedelta) -> SweepReport:
    """Remove what no root reaches and nobody wrote within the grace; pack what is loose and old."""
    found = _inventory(objects, grace)
    live = reachable(objects, _starts(objects, roots, found))
    loose = [blob for blob in found.loose if raw_of(digest_at(blob.key)) not in live]
    going = [pack for pack in found.packs if pack.goes(live)]
    left = [blob for blob in found.left if blob.modified <= found.oldest]
    if not dry_run:
        loose = [blob for blob in loose if _delete_old(objects, blob, found.oldest)]
        going = _remove(objects, going, live, found)
        for blob in left:
            objects.blobs.delete(blob.key)
        for lease in found.leases:
            if lease.modified <= found.oldest:
                _delete_old(objects, lease, found.oldest)
        _pack_loose(objects, found, live)
        objects.index.tidy()
    removed = len(loose) + len(left) + sum(len(pack.dead(live)) for pack in going)
    freed = sum(blob.size for blob in [*loose, *left]) + sum(pack.freed(live) for pack in going)
    return SweepReport(found.objects - removed, removed, freed, dry_run)


def reachable(objects: Objects, roots: Iterable[bytes]) -> set[bytes]:
    """The roots and all that they need: the files of trees, the chunks of large objects."""
    live: set[bytes] = set()
    fresh = set(roots)
    while fresh:
        live |= fresh
        fresh = set(_parts(objects, fresh)) - live
    return live


def _parts(objects: Objects, raws: set[bytes]) -> Iterator[bytes]:
    """What some objects name."""
    places = objects.index.find(raws)
    for raw in raws:
        place = places.get(raw)
        if place is None:
            yield from _named(_loose_tree(objects, raw))
        elif place.kind == RECIPE:
            yield from _of_recipe(objects, raw)
        elif place.kind == TREE:
            yield from _named(_read(objects, raw))


def _of_recipe(objects: Objects, raw: bytes) -> Iterator[bytes]:
    try:
        recipe = chunks.decode(_read(objects, raw))
    except Corrupted:  # For fsck to report: nothing can be had from it any more.
        return
    yield from recipe.chunks
    first = objects.index.place(recipe.chunks[0])
    if first is not None and first.kind == TREE:  # A folder with very many names.
        yield from _named(b"".join(_read(objects, chunk) for chunk in recipe.chunks))


def _named(data: bytes) -> Iterator[bytes]:
    """The addresses in a folder; none in anything else, however much it looks like one."""
    try:
        if trees.is_flat(data):
            yield from [raw_of(entry.digest) for entry in trees.decode_flat(data, Digest(""))]
        elif trees.is_tree(data):
            yield from [raw_of(entry.digest) for entry in trees.decode(data, Digest(""))]
    except (Corrupted, InvalidInput):
        return


def _read(objects: Objects, raw: bytes) -> bytes:
    try:
        return objects.read(raw)[0]
    except (Corrupted, NotFound):
        return b""


def _loose_tree(objects: Objects, raw: bytes) -> bytes:
    """A loose object, if it may be a folder."""
    try:
        head = objects.blobs.get_range(loose_key(raw), 0, 16)
        return objects.blobs.get(loose_key(raw)) if trees.is_tree(head) else b""
    except NotFound:
        return b""


def _inventory(objects: Objects, grace: timedelta) -> _Inventory:
    objects.blobs.put(MARK, b"")
    # The place's own clock says what is young; ours may differ, and may be a simulated one.
    oldest = next(objects.blobs.keys(MARK)).modified - grace
    objects.refresh()
    written = {
        packs.name_of(blob.key): blob.modified for prefix in (PACKS, SIDECARS) for blob in objects.blobs.keys(prefix)
    }
    listed = []
    for info in objects.index.packs().values():
        try:
            listed.append(_Pack(info, objects.rows(info), written[info.name] > oldest))
        except (Corrupted, NotFound, KeyError):  # Damaged: it stays for fsck. Gone: it needs no sweeping.
            continue
    left = [*objects.blobs.keys(_STAGING), *objects.blobs.keys(ADOPTED)]
    sidecars = {payload_key(pack.info) for pack in listed if pack.info.adopted}
    return _Inventory(
        loose=list(objects.blobs.keys(OBJECTS)),
        packs=listed,
        leases=list(objects.blobs.keys(LEASES)),
        left=[blob for blob in left if blob.key not in sidecars],
        oldest=oldest,
    )


def _starts(objects: Objects, roots: Iterable[Digest], found: _Inventory) -> Iterator[bytes]:
    """What must stay whatever it is: the roots, what is young, what somebody relies on."""
    for root in roots:
        try:
            yield raw_of(root)
        except InvalidInput:  # Whatever has 64 letters in the catalog may look like one.
            continue
    yield from found.young()
    yield from _leased(objects, [lease for lease in found.leases if lease.modified > found.oldest])


def _leased(objects: Objects, leases: Iterable[Blob]) -> Iterator[bytes]:
    for lease in leases:
        try:
            listed = objects.blobs.get(lease.key)
        except NotFound:
            continue
        yield from (listed[at : at + 32] for at in range(0, len(listed), 32))


def _delete_old(objects: Objects, blob: Blob, oldest: datetime) -> bool:
    """Delete a blob, unless somebody has touched it since it was listed."""
    if any(now.modified > oldest for now in objects.blobs.keys(blob.key)):
        return False
    objects.blobs.delete(blob.key)
    return True


def _remove(objects: Objects, going: list[_Pack], live: set[bytes], found: _Inventory) -> list[_Pack]:
    """Remove packs, after what is needed of them was written to others; those that really went."""
    if not going:
        return []
    going = _saved(objects, going, live)
    objects.index.forget(pack.info.name for pack in going)
    known = {lease.key for lease in found.leases if lease.modified > found.oldest}
    fresh = [lease for lease in objects.blobs.keys(LEASES) if lease.modified > found.oldest and lease.key not in known]
    leased = set(_leased(objects, fresh))
    gone = [pack for pack in going if leased.isdisjoint(row.digest for row in pack.dead(live))]
    for pack in gone:
        for key in {payload_key(pack.info), footer_key(pack.info)}:
            objects.blobs.delete(key)
    objects.refresh()  # Those that somebody has come to rely on meanwhile are found again.
    return gone


def _saved(objects: Objects, going: list[_Pack], live: set[bytes]) -> list[_Pack]:
    """Write what is needed of packs to others; the packs of which that worked."""
    saved = []
    bulk = Bulk(objects)
    try:
        for pack in going:
            try:
                _copy(objects, bulk, pack, live)
            except Corrupted:  # It stays as it is, for fsck to report and mend.
                continue
            saved.append(pack)
        bulk.flush()
    finally:
        bulk.close()
    return saved


def _copy(objects: Objects, bulk: Bulk, pack: _Pack, live: set[bytes]) -> None:
    key = payload_key(pack.info)
    for row in pack.rows:
        if row.digest in live:
            stored = objects.blobs.get_range(key, row.offset, row.stored)
            bulk.copy(row.digest, unpacked(Place(*row, pack.info), stored), row.kind)


def _pack_loose(objects: Objects, found: _Inventory, live: set[bytes]) -> None:
    """Put what is loose, needed and old into packs."""
    old = [blob for blob in found.loose if blob.modified <= found.oldest and raw_of(digest_at(blob.key)) in live]
    bulk = Bulk(objects)
    try:
        packed = []
        for blob in old if len(old) >= _WORTH else ():
            try:
                bulk.add(digest_at(blob.key), verified(objects.blobs.get(blob.key), raw_of(digest_at(blob.key))))
            except Corrupted:  # It stays as it is, for fsck to report and mend.
                continue
            packed.append(blob)
        bulk.flush()
    finally:
        bulk.close()
    for blob in packed:
        _delete_old(objects, blob, found.oldest)
