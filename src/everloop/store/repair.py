"""Mending a store from another one that has what is damaged here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from everloop.kernel.errors import Corrupted, NotFound
from everloop.store import chunks
from everloop.store.entities import Digest
from everloop.store.frames import Frame, FrameWriter, frames_of, opened, salvaged
from everloop.store.index import PackInfo
from everloop.store.objects import Objects, footer_key, loose_key, payload_key, raw_of
from everloop.store.packs import RECIPE
from everloop.store.service import Store


def repair(store: Store, damaged: Iterable[Digest], source: Store) -> tuple[tuple[Digest, ...], tuple[Digest, ...]]:
    """Fetch damaged or missing objects from a store that has them whole: those that were mended, and those that not.

    The packs that damage was found in are written anew with all that is whole in them, and removed: nothing finds
    the damaged bytes again. Nothing is removed before what replaces it is durable.
    """
    wanted = {raw_of(digest) for digest in damaged}
    store.objects.refresh()
    source.objects.refresh()
    places = store.objects.index.find(wanted)
    writer = FrameWriter(store.objects, replace=True)
    mended: set[bytes] = set()
    try:
        for frame in _whole(store.objects, source.objects, wanted):
            writer.add(frame)
            mended.add(frame.digest)
        torn = {pack.name for pack in _torn(store.objects)}
        hurt = {place.pack for raw, place in places.items() if raw in mended and place.pack.name not in torn}
        for pack in hurt:
            for frame in salvaged(store.objects, pack, mended):
                writer.add(frame)
        writer.flush()
    finally:
        writer.close()
    _remove(store.objects, {pack for pack in hurt if pack.name not in writer.names}, mended)
    return _named(wanted & mended), _named(wanted - mended)


def discard_torn(store: Store) -> None:
    """Remove packs that are torn: when nothing is missing any more, nobody needs them."""
    for pack in list(_torn(store.objects)):
        store.objects.index.forget([pack.name])
        store.blobs.delete(footer_key(pack))


def _torn(objects: Objects) -> Iterator[PackInfo]:
    for name, (blob, adopted) in objects.listed().items():
        pack = PackInfo(name, blob.size, adopted)
        try:
            objects.rows(pack)
        except Corrupted:
            yield pack
        except NotFound:
            continue


def _whole(objects: Objects, source: Objects, wanted: set[bytes]) -> Iterator[Frame]:
    """What the source has whole of the wanted objects, and of the chunks of large ones that are not here either."""
    for raw in sorted(wanted - source.missing(wanted)):
        try:
            (frame,) = frames_of(source, [raw])
        except (Corrupted, NotFound):
            continue
        yield frame
        if frame.kind == RECIPE:
            absent = objects.missing(set(chunks.decode(opened(frame)).chunks)) - wanted
            yield from frames_of(source, absent - source.missing(absent))


def _remove(objects: Objects, hurt: set[PackInfo], mended: set[bytes]) -> None:
    """Remove what was replaced."""
    for pack in hurt:
        objects.index.forget([pack.name])
        for key in {payload_key(pack), footer_key(pack)}:
            objects.blobs.delete(key)
    for raw in mended:
        objects.blobs.delete(loose_key(raw))


def _named(raws: set[bytes]) -> tuple[Digest, ...]:
    return tuple(sorted(Digest(raw.hex()) for raw in raws))
