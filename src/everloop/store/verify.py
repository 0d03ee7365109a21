"""Reading everything back: which objects are not what their addresses say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.progress import SILENT, Progress
from everloop.store import chunks
from everloop.store.entities import Damage, Digest
from everloop.store.index import PackInfo, Place
from everloop.store.objects import (
    OBJECTS,
    Objects,
    digest_at,
    loose_key,
    near,
    payload_key,
    range_of,
    raw_of,
    unpacked,
    verified,
)
from everloop.store.packs import RECIPE

_AT_ONCE = 5_000


def verify(objects: Objects, raws: Iterable[bytes], progress: Progress = SILENT) -> list[Damage]:
    """What is damaged or missing of some objects, by address; of large ones whether their chunks are there."""
    objects.refresh()
    wanted = sorted(set(raws))
    damaged: list[Damage] = []
    for at in range(0, len(wanted), _AT_ONCE):
        damaged += _damaged(objects, wanted[at : at + _AT_ONCE])
        progress.advance(min(at + _AT_ONCE, len(wanted)), len(wanted), "verified", "files")
    return sorted(damaged)


def verify_all(objects: Objects, progress: Progress = SILENT) -> list[Damage]:
    """What is damaged of all that there is, wherever it lies: packs from their first byte to their last, loose objects.

    Memory is that of one pack's table, whatever the store holds.
    """
    objects.refresh()
    total = objects.index.totals()[1]
    found: list[Damage] = []
    done = 0
    for pack in sorted(objects.index.packs().values()):
        try:
            rows = objects.rows(pack)
        except NotFound:  # A sweep was faster.
            continue
        except Corrupted as error:
            lost = objects.index.digests_of(pack.name)
            found += [Damage(Digest(raw.hex()), payload_key(pack), error.message) for raw in lost]
            continue
        found += _damaged_in(objects, pack, [Place(*row, pack) for row in rows])
        done += sum(row.stored for row in rows)
        progress.advance(done, total, "verified", "bytes")
    return sorted(found + list(_damaged_loose(objects)))


def _damaged_in(objects: Objects, pack: PackInfo, places: list[Place]) -> Iterator[Damage]:
    recipes: list[tuple[Place, bytes]] = []
    for run in near(places):
        try:
            data = objects.blobs.get_range(*range_of(run))
        except NotFound:
            yield from (_at(place, f"{payload_key(pack)} is missing.") for place in run)
            continue
        for place in run:
            start = place.offset - run[0].offset
            try:
                payload = unpacked(place, data[start : start + place.stored])
            except Corrupted as error:
                yield _at(place, error.message)
                continue
            if place.kind == RECIPE:
                recipes.append((place, payload))
    for place, payload in recipes:
        if reason := _broken_recipe(objects, payload):
            yield _at(place, reason)


def _damaged_loose(objects: Objects) -> Iterator[Damage]:
    for blob in objects.blobs.keys(OBJECTS):
        try:
            verified(objects.blobs.get(blob.key), raw_of(digest_at(blob.key)))
        except NotFound:  # A sweep was faster.
            continue
        except Corrupted as error:
            yield Damage(digest_at(blob.key), blob.key, error.message)


def _damaged(objects: Objects, raws: list[bytes]) -> Iterator[Damage]:
    """One read for all; only when that fails is each looked at alone."""
    try:
        recipes = [(raw, data) for raw, data, is_recipe in objects.read_many(raws) if is_recipe]
        if not any(_broken_recipe(objects, data) for _, data in recipes):
            return
    except (Corrupted, NotFound):
        pass
    for raw in raws:
        try:
            data, is_recipe = objects.read(raw)
            if is_recipe and (reason := _broken_recipe(objects, data)):
                yield _damage(objects, raw, reason)
        except (Corrupted, NotFound) as error:
            yield _damage(objects, raw, error.message)


def _broken_recipe(objects: Objects, data: bytes) -> str:
    """Why an object cannot be put together; nothing if it can."""
    try:
        missing = objects.missing(set(chunks.decode(data).chunks))
    except Corrupted as error:
        return error.message
    return f"{len(missing)} of its chunks are missing, {min(missing).hex()} for one." if missing else ""


def _at(place: Place, reason: str) -> Damage:
    return Damage(Digest(place.digest.hex()), payload_key(place.pack), reason)


def _damage(objects: Objects, raw: bytes, reason: str) -> Damage:
    place = objects.index.place(raw)
    return Damage(Digest(raw.hex()), payload_key(place.pack) if place else loose_key(raw), reason)
