"""Where bytes lie and how they are had back: loose objects, packs, and the index that finds them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from blake3 import blake3

from everloop.kernel.errors import Corrupted, InvalidInput, NotFound
from everloop.store import chunks, packs, trees
from everloop.store.blobs import Blob, Blobs, Range
from everloop.store.buffers import Buffers
from everloop.store.chunks import Recipe
from everloop.store.compression import decoded
from everloop.store.entities import Digest
from everloop.store.index import Index, PackInfo, Place
from everloop.store.packs import RECIPE, Row

OBJECTS, PACKS, ADOPTED, SIDECARS, LEASES = "objects/", "packs/", "adopted/", "sidecars/", "leases/"
RESTORE = "everloop store repair fetches what is damaged from a remote that has it whole."

_ADDRESS = re.compile(r"[0-9a-f]{64}")
_INDEX = ".index/packs.db"
_GAP, _MOST = 64 << 10, 8 << 20
_TRIES = 3
_MANY = 64


class Objects:
    """What every part of the store builds on. Digests are raw here: 32 bytes."""

    def __init__(self, blobs: Blobs, index: Path | None = None) -> None:
        self.blobs = blobs
        self.index = Index(blobs.local / _INDEX if blobs.local is not None else index)
        self.buffers = Buffers()

    def has(self, raw: bytes) -> bool:
        """Whether the store holds an object, loose or in a pack."""
        if self.index.known((raw,)) or self.blobs.has(loose_key(raw)):
            return True
        return self.refresh() and bool(self.index.known((raw,)))

    def missing(self, raws: Collection[bytes]) -> set[bytes]:
        """Those that the store does not hold."""
        left = set(raws)
        left -= self.index.known(left)
        if left and self.refresh():
            left -= self.index.known(left)
        if len(left) > _MANY:
            return left - {raw_of(digest_at(blob.key)) for blob in self.blobs.keys(OBJECTS)}
        return {raw for raw in left if not self.blobs.has(loose_key(raw))}

    def read(self, raw: bytes) -> tuple[bytes, bool]:
        """An object's bytes, verified, and whether they are a recipe for it (which only its chunks can verify).

        Raises:
            NotFound: the store has nothing there.
            Corrupted: what it has is not what the address says.
        """
        for _ in range(_TRIES):
            place = self.index.place(raw)
            try:
                if place is None:
                    return verified(self.blobs.get(loose_key(raw)), raw), False
                stored = self.blobs.get_range(payload_key(place.pack), place.offset, place.stored)
                return unpacked(place, stored), place.kind == RECIPE
            except NotFound:
                if place is not None:  # Another process's sweep has removed the pack.
                    self.index.forget([place.pack.name])
                elif not self.refresh():
                    break
        raise not_found(raw)

    def read_many(self, raws: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, bool]]:
        """Digest, bytes and whether they are a recipe, of each once, in the order that is cheapest to read."""
        left = set(raws)
        places = self.index.find(left)
        if len(places) < len(left) and self.refresh():
            places = self.index.find(left)
        loose = sorted(left - places.keys())
        yield from self._read_packs(places.values())
        for raw, data in zip(loose, self._read_loose(loose), strict=False):
            yield raw, data, False

    def refresh(self) -> bool:
        """Learn of packs that others have written, forget those that are gone; whether there were any."""
        known = self.index.packs()
        there = self.listed()
        gone = known.keys() - there.keys()
        if gone:
            self.index.forget(gone)
        learnt = [self._learn(blob, name, adopted) for name, (blob, adopted) in there.items() if name not in known]
        return bool(gone) or any(learnt)

    def torn(self) -> list[str]:
        """The keys of packs whose footer cannot be read, or whose size is not what it was when it was read."""
        self.refresh()
        known = self.index.packs()
        listed = self.listed().items()
        return sorted(blob.key for name, (blob, _) in listed if name not in known or known[name].size != blob.size)

    def rows(self, pack: PackInfo) -> list[Row]:
        """What the footer of a pack lists.

        Raises:
            Corrupted: it is damaged.
        """
        where = footer_key(pack)
        return packs.read_footer(lambda start, length: self.blobs.get_range(where, start, length), pack.size, pack.name)

    def table(self, pack: PackInfo) -> bytes:
        """The same as it lies there, 50 bytes for each object.

        Raises:
            Corrupted: it is damaged.
        """
        where = footer_key(pack)
        return packs.read_table(lambda start, length: self.blobs.get_range(where, start, length), pack.size, pack.name)

    def listed(self) -> dict[bytes, tuple[Blob, bool]]:
        """The packs that the place has, by name: the blob with the footer, and whether the rest is an adopted file."""
        adopted = self._listed(SIDECARS, True) if self.blobs.local is not None else {}
        return {**self._listed(PACKS, False), **adopted}

    def recipe(self, raw: bytes) -> Recipe | None:
        """How a large object is put together; nothing for one that is kept in one piece."""
        place = self.index.place(raw)
        if place is not None and place.kind != RECIPE:
            return None
        payload, is_recipe = self.read(raw)
        return chunks.decode(payload) if is_recipe else None

    def size(self, raw: bytes) -> int:
        """How many bytes an object has.

        Raises:
            NotFound: the store has nothing there.
        """
        place = self.index.place(raw)
        if place is not None and place.kind != RECIPE:
            return place.size
        data, is_recipe = self.read(raw)
        return chunks.decode(data).size if is_recipe else len(data)

    def parts(self, recipe: Recipe) -> Iterator[bytes]:
        """The chunks of a large object, in order, each verified; some megabytes of them are in memory at a time."""
        wanted = recipe.chunks
        for at in range(0, len(wanted), 128):
            some = wanted[at : at + 128]
            found = {raw: data for raw, data, _ in self.read_many(some)}
            yield from (found[raw] for raw in some)

    def _listed(self, prefix: str, adopted: bool) -> dict[bytes, tuple[Blob, bool]]:
        named = ((packs.name_of(blob.key), blob) for blob in self.blobs.keys(prefix))
        return {name: (blob, adopted) for name, blob in named if name is not None}

    def _learn(self, blob: Blob, name: bytes, adopted: bool) -> bool:
        pack = PackInfo(name, blob.size, adopted)
        try:
            self.index.add(pack, self.rows(pack))
        except (NotFound, Corrupted):  # Gone again, or for fsck to report: everything else can still be had.
            return False
        return True

    def _read_packs(self, places: Collection[Place]) -> Iterator[tuple[bytes, bytes, bool]]:
        by_pack: dict[PackInfo, list[Place]] = {}
        for place in places:
            by_pack.setdefault(place.pack, []).append(place)
        runs = [run for pack in sorted(by_pack) for run in near(by_pack[pack])]
        ranges = [range_of(run) for run in runs]
        done = 0
        try:
            for run, data in zip(runs, self.blobs.get_ranges(ranges), strict=True):
                for place in run:
                    start = place.offset - run[0].offset
                    yield place.digest, unpacked(place, data[start : start + place.stored]), place.kind == RECIPE
                done += 1
        except NotFound:  # Another process's sweep has removed a pack: look each of the rest up again.
            for raw in [place.digest for run in runs[done:] for place in run]:
                yield raw, *self.read(raw)

    def _read_loose(self, raws: list[bytes]) -> Iterator[bytes]:
        fetched = self.blobs.get_all(map(loose_key, raws))
        for raw in raws:
            try:
                yield verified(next(fetched), raw)
            except NotFound:
                raise not_found(raw) from None


def raw_of(digest: Digest) -> bytes:
    """The 32 bytes of an address.

    Raises:
        InvalidInput: it is none.
    """
    if not _ADDRESS.fullmatch(digest):
        raise InvalidInput(f"{digest!r} is not an address.", hint="Addresses are 64 hexadecimal digits, in lower case.")
    return bytes.fromhex(digest)


def digest_at(key: str) -> Digest:
    """The address that a key such as `objects/ab/cdef…` ends with."""
    return Digest("".join(key.split("/")[-2:]))


def loose_key(raw: bytes) -> str:
    """Where an object is kept that is in no pack."""
    text = raw.hex()
    return f"{OBJECTS}{text[:2]}/{text[2:]}"


def payload_key(pack: PackInfo) -> str:
    """Where the payloads of a pack are."""
    return packs.key(pack.name).replace(PACKS, ADOPTED) if pack.adopted else packs.key(pack.name)


def footer_key(pack: PackInfo) -> str:
    """Where the footer of a pack is: at its end or, for an adopted file, beside it."""
    return packs.key(pack.name).replace(PACKS, SIDECARS) if pack.adopted else packs.key(pack.name)


def kind_of(data: bytes | bytearray | memoryview) -> int:
    """The kind of an object that is kept in one piece, by how it begins."""
    return packs.TREE if trees.is_tree(data) else packs.WHOLE


def unpacked(place: Place, stored: bytes) -> bytes:
    """The bytes of a packed object, verified unless they are a recipe.

    Raises:
        Corrupted: they are damaged; says which object in which pack.
    """
    try:
        data = decoded(place.codec, stored, place.size)
        return data if place.kind == RECIPE else verified(data, place.digest)
    except Corrupted as error:
        raise Corrupted(
            f"Object {place.digest.hex()} in {payload_key(place.pack)} is damaged: {error.message}", hint=RESTORE
        ) from None


def verified(data: bytes, raw: bytes) -> bytes:
    """The bytes, when they are what the address says.

    Raises:
        Corrupted: they are not.
    """
    if raw_digest(data) != raw:
        raise Corrupted(f"Object {raw.hex()} has other bytes than its address says.", hint=RESTORE)
    return data


def raw_digest(data: bytes | bytearray | memoryview) -> bytes:
    """BLAKE3 of some bytes; of many on all processors."""
    if len(data) > chunks.WHOLE:
        return blake3(data, max_threads=blake3.AUTO).digest()
    return blake3(data).digest()


def not_found(raw: bytes) -> NotFound:
    """What to raise for an object that the store does not hold."""
    return NotFound(f"The store has no object {raw.hex()}.")


def near(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Runs of a pack's objects that lie near each other, each to be had in one read of not too many bytes."""
    run: list[Place] = []
    for place in sorted(places, key=lambda place: (place.offset, place.stored)):  # Those without bytes come first.
        start, end = (run[0].offset, run[-1].offset + run[-1].stored) if run else (place.offset, place.offset)
        if run and (place.offset - end > _GAP or place.offset + place.stored - start > _MOST):
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def range_of(run: list[Place]) -> Range:
    """The bytes of a pack that hold a run of its objects."""
    start = run[0].offset
    return Range(payload_key(run[0].pack), start, run[-1].offset + run[-1].stored - start)
