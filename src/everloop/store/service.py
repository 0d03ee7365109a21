"""What one can do with bytes: put them in, get them out verified, keep folders, sweep what nothing points to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from everloop.kernel.errors import Corrupted
from everloop.kernel.progress import SILENT, Progress
from everloop.store import chunks, trees, verify, workfolder
from everloop.store.adoption import Way, adopt
from everloop.store.blobs import GRACE, Blobs
from everloop.store.bulk import Bulk
from everloop.store.chunks import WHOLE, Recipe
from everloop.store.entities import Damage, Digest, Entry, StoreStats, SweepReport, TrashBin, TreeEntry, Undeleted
from everloop.store.leases import rely, settle
from everloop.store.objects import OBJECTS, RESTORE, Objects, digest_at, loose_key, payload_key, raw_digest, raw_of
from everloop.store.trees import Columns

if TYPE_CHECKING:
    from everloop.store.fsck import Examination
    from everloop.store.sweep import Sweep


class Store:
    """Objects by the BLAKE3 of their content, over any place for blobs.

    An object is durable when `put` returns, so a pointer that moves afterwards never dangles. Every read is verified.
    `index` says where the cache of places is, for a store that is not in a local folder; without, it is in memory.
    """

    def __init__(self, blobs: Blobs, index: Path | None = None) -> None:
        self.objects = Objects(blobs, index)

    @property
    def blobs(self) -> Blobs:
        """The place where everything is."""
        return self.objects.blobs

    def put(self, data: bytes | bytearray | memoryview) -> Digest:
        """Keep bytes; the address that they can be had back under. Keeping them twice costs nothing."""
        if len(data) > WHOLE:
            with self.bulk() as bulk:
                return bulk.put(data)
        raw = raw_digest(data)
        self._keep(raw, data)
        while settle(self.objects, (raw,)) and not self.objects.has(raw):
            self._keep(raw, data)
        return Digest(raw.hex())

    def put_file(self, path: Path) -> Digest:
        """Keep a file's bytes; of a large file only some are in memory at a time.

        Raises:
            NotFound: there is no such file.
            Conflict: somebody changed the file meanwhile.
        """
        return workfolder.put_file(self, path)

    def adopt(self, path: Path, ways: Sequence[Way] = ("reflink", "hardlink")) -> Digest:
        """Keep a large file that nobody will change by taking it in as it is, without a copy.

        Raises:
            NotFound: there is no such file.
            Conflict: somebody changed it meanwhile.
            Refused: the store is not on the same disk, or the disk knows none of the ways.
        """
        with self.bulk() as bulk:
            return adopt(self.objects, bulk, path, ways)

    @contextmanager
    def bulk(self, progress: Progress = SILENT) -> Iterator[Bulk]:
        """Takes many objects into packs. They are durable when the block ends, unless it ends with an exception."""
        bulk = Bulk(self.objects, progress)
        try:
            yield bulk
            bulk.flush()
        finally:
            bulk.close()

    def get(self, digest: Digest) -> bytes:
        """The bytes at an address.

        Raises:
            NotFound: the store has nothing there.
            Corrupted: what it has is not what the address says.
        """
        data, is_recipe = self.objects.read(raw_of(digest))
        return b"".join(self._assembled(digest, data)) if is_recipe else data

    def get_many(self, digests: Iterable[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Each object once, verified, in the order that is cheapest to read: pack by pack, near ranges together.

        Raises:
            NotFound: one is not there; others may have been given before.
            Corrupted: one is damaged.
        """
        for raw, data, is_recipe in self.objects.read_many(raw_of(digest) for digest in digests):
            digest = Digest(raw.hex())
            yield digest, b"".join(self._assembled(digest, data)) if is_recipe else data

    def parts(self, digest: Digest) -> Iterator[bytes]:
        """An object's bytes in pieces, of which some megabytes are in memory; all are right only when all were given.

        Raises:
            NotFound: the store has nothing there.
            Corrupted: what it has is not what the address says.
        """
        data, is_recipe = self.objects.read(raw_of(digest))
        yield from self._assembled(digest, data) if is_recipe else (data,)

    def size(self, digest: Digest) -> int:
        """How many bytes an object has; of a large one, none of them is read.

        Raises:
            NotFound: the store has nothing there.
        """
        return self.objects.size(raw_of(digest))

    def recipe(self, digest: Digest) -> Recipe | None:
        """How a large object is put together; nothing for one that is kept in one piece."""
        return self.objects.recipe(raw_of(digest))

    def has(self, digest: Digest) -> bool:
        """Whether the store holds the address."""
        return self.objects.has(raw_of(digest))

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those that the store does not hold."""
        return {Digest(raw.hex()) for raw in self.objects.missing({raw_of(digest) for digest in digests})}

    def rely(self, digests: Iterable[Digest]) -> set[Digest]:
        """Keep objects from sweeps as if they were put now; those that the store does not hold."""
        return {Digest(raw.hex()) for raw in rely(self.objects, map(raw_of, digests))}

    def write_to(self, digest: Digest, path: Path) -> None:
        """Write an object to a file, whole or not at all; of a large object only some is in memory at a time."""
        workfolder.write_to(self, digest, path)

    def put_tree(self, entries: Iterable[TreeEntry], bulk: Bulk | None = None) -> Digest:
        """Keep a tree of files that are in the store already; equal trees have equal addresses.

        Raises:
            InvalidInput: a path leads out of the tree, or two files have one path.
        """
        folders: list[bytes] = []

        def keep(data: bytes) -> Digest:
            folders.append(data)
            return Digest(raw_digest(data).hex())

        root = trees.build(entries, bulk.put if bulk is not None else keep)
        if len(folders) == 1:
            return self.put(folders[0])
        if folders:
            with self.bulk() as own:
                for data in folders:
                    own.put(data)
        return root

    def folder(self, digest: Digest) -> tuple[Entry, ...]:
        """One level of a tree, by name.

        Raises:
            NotFound: the store has nothing there.
            Corrupted: the bytes at the address are no tree.
            InvalidInput: a name in it may lead out of the tree.
        """
        data = self.get(digest)
        if trees.is_flat(data):
            return self.folder(self.put_tree(trees.decode_flat(data, digest)))
        return trees.decode(data, digest)

    def columns(self, digest: Digest) -> Columns:
        """One level of a tree as it is kept: for many names of which few matter.

        Raises:
            NotFound, Corrupted, InvalidInput: as `folder`.
        """
        data = self.get(digest)
        if trees.is_flat(data):
            return self.columns(self.put_tree(trees.decode_flat(data, digest)))
        return trees.columns(data, digest)

    def tree(self, digest: Digest) -> tuple[TreeEntry, ...]:
        """The files of a tree, by path.

        Raises:
            NotFound: the store has nothing there.
            Corrupted: the bytes at the address are no tree.
            InvalidInput: a path in it may lead out of the tree.
        """
        data = self.get(digest)
        if trees.is_flat(data):
            return trees.decode_flat(data, digest)
        return trees.walked(self.get_many, trees.decode(data, digest))

    def put_folder(self, folder: Path) -> Digest:
        """Keep every file below a folder, as a tree."""
        return workfolder.put_folder(self, folder)

    def checkout(self, digest: Digest, folder: Path) -> None:
        """Write a tree's files below a folder, each whole or not at all."""
        workfolder.checkout(self, digest, folder)

    def stats(self) -> StoreStats:
        """How many objects the store holds, and in how many bytes."""
        self.objects.refresh()
        objects, size = self.objects.index.totals()
        loose = [blob.size for blob in self.blobs.keys(OBJECTS)]
        return StoreStats(objects + len(loose), size + sum(loose))

    def digests(self) -> Iterator[Digest]:
        """Every address in the store, chunks too."""
        self.objects.refresh()
        packed = {Digest(raw.hex()) for raw in self.objects.index.digests()}
        yield from packed
        yield from {digest_at(blob.key) for blob in self.blobs.keys(OBJECTS)} - packed

    def planned_sweep(
        self,
        roots: Iterable[Digest],
        grace: timedelta = GRACE,
        progress: Progress = SILENT,
        *,
        thorough: bool = False,
    ) -> Sweep:
        """What a sweep with these roots would do, to be looked at and then carried out.

        Raises:
            Corrupted: the store is damaged, so that what roots lead to cannot be known.
        """
        from everloop.store.sweep import Sweep

        return Sweep(self.objects, roots, grace, progress, thorough=thorough)

    def sweep(self, roots: Iterable[Digest], *, dry_run: bool, grace: timedelta = GRACE) -> SweepReport:
        """Put what no root reaches and nobody wrote within the `grace` into the trash; remove what was there that long.

        Roots are objects and trees; a tree's files and an object's chunks are kept with it. Grace is for those who have
        put something and are about to point to it: with none, what is dead is removed now, and nobody may write.
        """
        planned = self.planned_sweep(roots, grace)
        return planned.report() if dry_run else planned.carry_out()

    def trash(self) -> list[TrashBin]:
        """What sweeps condemned and have not removed yet, oldest first; it is still there, and can be read."""
        from everloop.store import trash

        return trash.listed(self.objects)

    def undelete(self, stamp: str) -> Undeleted:
        """Take what one sweep condemned (`all`: everything) out of the trash, as safe as if it were put now.

        Raises:
            NotFound: there is no such bin in the trash.
        """
        from everloop.store import trash

        return trash.undelete(self.objects, stamp)

    def rebuild_index(self) -> int:
        """Make the index anew from the packs; how many objects it knows then."""
        self.objects.index.clear()
        self.objects.refresh()
        return self.objects.index.totals()[0]

    def verify(self, digests: Iterable[Digest] | None = None, progress: Progress = SILENT) -> list[Damage]:
        """Read objects (or all that there are) and say which are damaged or missing."""
        if digests is None:
            return verify.verify_all(self.objects, progress)
        return verify.verify(self.objects, map(raw_of, digests), progress)

    def torn(self) -> list[str]:
        """The keys of packs that are cut off, as far as a listing tells."""
        return self.objects.torn()

    def examine(self, progress: Progress = SILENT) -> Examination:
        """What is not as it should be, by footers, index, folders and recipes; the bytes of files are not read."""
        from everloop.store.fsck import examine

        return examine(self.objects, progress)

    def _keep(self, raw: bytes, data: bytes | bytearray | memoryview) -> None:
        """Have an object as if it were written now: touched, relied on in its pack, or written."""
        if self.blobs.touch(loose_key(raw)):
            return
        place = self.objects.index.place(raw)
        if place is not None and not self.blobs.has(payload_key(place.pack)):
            self.objects.refresh()  # Somebody took packs away: what the index says must not be relied on.
        if not self.objects.index.known((raw,)) or rely(self.objects, (raw,)):
            self.blobs.put(loose_key(raw), bytes(data))

    def _assembled(self, digest: Digest, recipe: bytes) -> Iterator[bytes]:
        whole = blake3()
        for part in self.objects.parts(chunks.decode(recipe)):
            whole.update(part)
            yield part
        if whole.hexdigest() != digest:
            raise Corrupted(f"The recipe of object {digest} names other chunks than its own.", hint=RESTORE)


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """The address of some bytes."""
    return Digest(raw_digest(data).hex())
