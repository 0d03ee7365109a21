"""Reading everything back: which objects are not what their addresses say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.progress import SILENT, Progress
from everloop.store import chunks
from everloop.store.entities import Damage, Digest
from everloop.store.objects import OBJECTS, Objects, digest_at, loose_key, payload_key, raw_of

_AT_ONCE = 5_000


def verify(objects: Objects, raws: Iterable[bytes] | None, progress: Progress = SILENT) -> list[Damage]:
    """What is damaged or missing of some objects (None: of all, of large ones their chunks too), by address."""
    objects.refresh()
    wanted = sorted(set(raws) if raws is not None else _all(objects))
    damaged: list[Damage] = []
    for at in range(0, len(wanted), _AT_ONCE):
        damaged += _damaged(objects, wanted[at : at + _AT_ONCE])
        progress.advance(min(at + _AT_ONCE, len(wanted)), len(wanted), "verified", "files")
    return sorted(damaged)


def _all(objects: Objects) -> set[bytes]:
    return objects.index.digests() | {raw_of(digest_at(blob.key)) for blob in objects.blobs.keys(OBJECTS)}


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


def _damage(objects: Objects, raw: bytes, reason: str) -> Damage:
    place = objects.index.place(raw)
    return Damage(Digest(raw.hex()), payload_key(place.pack) if place else loose_key(raw), reason)
