"""From one store to another: only what the other side lacks travels, in packs, as it is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec
from blake3 import blake3

from everloop.kernel.errors import Corrupted
from everloop.kernel.progress import SILENT, Progress
from everloop.store import chunks, trees
from everloop.store.entities import Digest, Entry
from everloop.store.frames import FrameWriter, frames_of, opened
from everloop.store.leases import lease
from everloop.store.objects import OBJECTS, digest_at, loose_key, raw_of
from everloop.store.packs import RECIPE, TREE
from everloop.store.service import Store


class Transferred(msgspec.Struct, frozen=True):
    """What travelled: objects, the bytes of their packs, and how many objects were there already."""

    objects: int = 0
    bytes: int = 0
    there: int = 0


def transfer(
    source: Store,
    target: Store,
    roots: Iterable[Digest],
    progress: Progress = SILENT,
    complete: Collection[Digest] = (),
) -> Transferred:
    """Bring objects, and all that the folders and large objects among them are made of, to another store.

    All is durable when it returns. What names others is written after them, so that whatever is there when it is
    interrupted is whole, and another attempt continues. `complete` are folders that the target has with all that is
    below them: they are not looked into.

    Raises:
        NotFound: the source lacks something.
        Corrupted: something in the source is damaged; it does not travel.
    """
    return _Transfer(source, target, progress).run([raw_of(root) for root in roots], {raw_of(one) for one in complete})


def folders_of(store: Store, roots: Iterable[Digest]) -> set[Digest]:
    """The folders of some trees, themselves included: what a transfer need not look into when the target has them."""
    levels = _levels(store, [raw_of(root) for root in roots], set())
    return {Digest(raw.hex()) for folders, _ in levels for raw in folders}


class _Transfer:
    def __init__(self, source: Store, target: Store, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._objects, self._bytes = 0, 0
        self._total = 0
        self._there: set[bytes] = set()
        self._loose: set[bytes] = set()

    def run(self, roots: list[bytes], complete: set[bytes]) -> Transferred:
        self._target.objects.refresh()
        self._source.objects.refresh()
        self._loose = {raw_of(digest_at(blob.key)) for blob in self._target.blobs.keys(OBJECTS)}
        levels = list(_levels(self._source, roots, complete))
        folders = [level for level, _ in levels]
        leaves = {raw for _, files in levels for raw in files}
        large = self._large(leaves - complete)
        lone = [raw for raw in roots if raw in leaves]
        self._writer = FrameWriter(self._target.objects, self._wrote)
        try:
            self._send([*self._parts(large), *(leaves - large - set(lone))])
            self._require_whole(large)
            self._send(large)
            for level in reversed(folders):
                self._send(level)
            self._send(lone)
        finally:
            self._writer.close()
        lease(self._target.objects, self._there, self._writer.names)
        return Transferred(self._objects, self._bytes, len(self._there))

    def _send(self, raws: Iterable[bytes]) -> None:
        """Bring what the target lacks of these, and wait until it is durable."""
        wanted = set(raws)
        missing = self._missing(wanted)
        missing |= self._rely(wanted - missing)
        if not missing:
            return
        self._total += sum(place.stored for place in self._source.objects.index.find(missing).values())
        for frame in frames_of(self._source.objects, missing):
            self._writer.add(frame)
        self._writer.flush()

    def _missing(self, wanted: set[bytes]) -> set[bytes]:
        """What the target lacks; asked of what was listed in the beginning, not of the place, object by object."""
        return wanted - self._loose - self._target.objects.index.known(wanted)

    def _rely(self, there: set[bytes]) -> set[bytes]:
        """Keep what is there from sweeps, packed objects by a lease in the end; those that were not there any more."""
        packed = self._target.objects.index.known(there)
        touched = {raw for raw in there - packed if self._target.blobs.touch(loose_key(raw))}
        self._there |= packed | touched
        return there - packed - touched

    def _large(self, leaves: set[bytes]) -> set[bytes]:
        """Those that are kept in chunks."""
        return {raw for raw, place in self._source.objects.index.find(leaves).items() if place.kind == RECIPE}

    def _parts(self, large: set[bytes]) -> Iterator[bytes]:
        """The chunks of the large objects that the target lacks."""
        for frame in frames_of(self._source.objects, self._missing(large)):
            yield from chunks.decode(opened(frame)).chunks

    def _require_whole(self, large: set[bytes]) -> None:
        """Refuse recipes that name the chunks of something else: what is here is read by them, part by part.

        Raises:
            Corrupted: one does.
        """
        if self._target.blobs.local is None:  # Whoever takes it from there looks.
            return
        for frame in frames_of(self._source.objects, self._missing(large)):
            whole = blake3()
            for part in self._target.objects.parts(chunks.decode(opened(frame))):
                whole.update(part)
            if whole.digest() != frame.digest:
                raise Corrupted(f"The recipe of object {frame.digest.hex()} names other chunks than its own.")

    def _wrote(self, objects: int, size: int) -> None:
        self._objects += objects
        self._bytes += size
        self._progress.advance(self._bytes, max(self._total, self._bytes), "transferred", "bytes")


def _levels(store: Store, roots: list[bytes], complete: set[bytes]) -> Iterator[tuple[set[bytes], set[bytes]]]:
    """The folders of each level, from the roots down, and the files that these name. Each is read once."""
    seen = set(complete)
    wanted = set(roots) - seen
    found = _entries(store, wanted, lenient=True)
    yield set(), wanted - found.keys()
    while found:
        seen |= found.keys()
        entries = [entry for folder in found.values() for entry in folder]
        yield set(found), {raw_of(entry.digest) for entry in entries if entry.kind != "folder"}
        below = {raw_of(entry.digest) for entry in entries if entry.kind == "folder"} - seen
        found = _entries(store, below, lenient=False)


def _entries(store: Store, raws: set[bytes], lenient: bool) -> dict[bytes, tuple[Entry, ...]]:
    """What folders name; `lenient` leaves out those that are no folders."""
    kinds = store.objects.index.find(raws) if lenient else {}
    likely = [Digest(raw.hex()) for raw in raws if raw not in kinds or kinds[raw].kind == TREE]
    found = {}
    for digest, data in store.get_many(likely):
        if lenient and not trees.is_tree(data):
            continue
        found[raw_of(digest)] = _decoded(data, digest)
    return found


def _decoded(data: bytes, digest: Digest) -> tuple[Entry, ...]:
    if trees.is_flat(data):
        return tuple(Entry(each.path, each.kind, each.digest, each.size) for each in trees.decode_flat(data, digest))
    return trees.decode(data, digest)
