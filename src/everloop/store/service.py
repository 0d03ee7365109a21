"""What one can do with bytes: put them in, get them out verified, keep folders, sweep what nothing points to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec
from blake3 import blake3

from everloop.kernel.errors import Corrupted, InvalidInput, NotFound
from everloop.store.blobs import Blobs
from everloop.store.chunks import WHOLE, chunked
from everloop.store.entities import Digest, Manifest, StoreStats, SweepReport, TreeEntry

_trees = msgspec.json.Decoder(tuple[TreeEntry, ...])
_manifests = msgspec.json.Decoder(Manifest)


class Store:
    """Objects by the BLAKE3 of their content, over any place for blobs.

    An object is durable when `put` returns, so a pointer that moves afterwards never dangles. Every read is verified.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def put(self, data: bytes | memoryview) -> Digest:
        """Keep bytes; the address that they can be had back under. Keeping them twice costs nothing."""
        view = memoryview(data)
        digest = digest_of(view)
        if self.has(digest):
            return digest
        if len(view) <= WHOLE:
            self._blobs.put(_object(digest), bytes(view))
            return digest
        chunks = tuple(self._put_chunk(chunk) for chunk in chunked(view))
        self._blobs.put(_manifest(digest), msgspec.json.encode(Manifest(len(view), chunks)))
        return digest

    def put_file(self, path: Path) -> Digest:
        """Keep a file's bytes."""
        return self.put(path.read_bytes())

    def get(self, digest: Digest) -> bytes:
        """The bytes at an address.

        Raises:
            NotFound: the store has nothing there.
            Corrupted: what it has is not what the address says.
        """
        try:
            data = self._blobs.get(_object(digest))
        except NotFound:
            data = b"".join(self._chunk(chunk) for chunk in self._read_manifest(digest).chunks)
        return _verified(data, digest)

    def has(self, digest: Digest) -> bool:
        """Whether the store holds the address."""
        return self._blobs.has(_object(digest)) or self._blobs.has(_manifest(digest))

    def put_tree(self, entries: Iterable[TreeEntry]) -> Digest:
        """Keep a tree of files that are in the store already; equal trees have equal addresses."""
        ordered = sorted(entries)
        for entry in ordered:
            _check_path(entry.path)
        return self.put(msgspec.json.encode(ordered))

    def tree(self, digest: Digest) -> tuple[TreeEntry, ...]:
        """The files of a tree, by path.

        Raises:
            Corrupted: the bytes at the address are no tree.
        """
        try:
            return _trees.decode(self.get(digest))
        except msgspec.DecodeError as error:
            raise Corrupted(f"Object {digest} is not a tree ({error}).") from None

    def put_folder(self, folder: Path) -> Digest:
        """Keep every file below a folder, as a tree."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        entries = [
            TreeEntry(path.relative_to(folder).as_posix(), self.put_file(path), path.stat().st_size) for path in files
        ]
        return self.put_tree(entries)

    def checkout(self, digest: Digest, folder: Path) -> None:
        """Write a tree's files below a folder, each whole or not at all."""
        for entry in self.tree(digest):
            _check_path(entry.path)
            target = folder / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.partial")
            temporary.write_bytes(self.get(entry.digest))
            os.replace(temporary, target)

    def stats(self) -> StoreStats:
        """How many objects the store holds, and in how many bytes."""
        sizes = [size for _, size in self._blobs.keys("")]
        return StoreStats(len(sizes), sum(sizes))

    def digests(self) -> Iterator[Digest]:
        """Every address in the store, chunks too."""
        for key, _ in self._blobs.keys(""):
            yield _digest(key)

    def sweep(self, roots: Iterable[Digest], *, dry_run: bool) -> SweepReport:
        """Remove what no root reaches. Roots are objects and trees; a tree's files and an object's chunks are kept with it."""
        live = self._reachable(roots)
        kept = removed = freed = 0
        for key, size in list(self._blobs.keys("")):
            if _digest(key) in live:
                kept += 1
                continue
            removed, freed = removed + 1, freed + size
            if not dry_run:
                self._blobs.delete(key)
        return SweepReport(kept, removed, freed, dry_run)

    def _reachable(self, roots: Iterable[Digest]) -> set[Digest]:
        live: set[Digest] = set()
        for root in roots:
            live.add(root)
            if not self.has(root):
                continue
            live.update(self._parts(root))
        return live

    def _parts(self, digest: Digest) -> Iterator[Digest]:
        if self._blobs.has(_manifest(digest)):
            yield from self._read_manifest(digest).chunks
            return
        data = self._blobs.get(_object(digest))
        if not data.startswith(b'[{"path"'):
            return
        for entry in _trees.decode(data):
            yield entry.digest
            yield from self._chunks_of(entry.digest)

    def _chunks_of(self, digest: Digest) -> Iterator[Digest]:
        if self._blobs.has(_manifest(digest)):
            yield from self._read_manifest(digest).chunks

    def _put_chunk(self, chunk: memoryview) -> Digest:
        digest = digest_of(chunk)
        if not self._blobs.has(_object(digest)):
            self._blobs.put(_object(digest), bytes(chunk))
        return digest

    def _chunk(self, digest: Digest) -> bytes:
        return _verified(self._blobs.get(_object(digest)), digest)

    def _read_manifest(self, digest: Digest) -> Manifest:
        try:
            return _manifests.decode(self._blobs.get(_manifest(digest)))
        except NotFound:
            raise NotFound(f"The store has no object {digest}.") from None


def digest_of(data: bytes | memoryview) -> Digest:
    """The address of some bytes."""
    return Digest(blake3(data, max_threads=blake3.AUTO if len(data) > WHOLE else 1).hexdigest())


def _verified(data: bytes, digest: Digest) -> bytes:
    if digest_of(data) != digest:
        raise Corrupted(
            f"Object {digest} has other bytes than its address says.", hint="Restore it from a copy of the store."
        )
    return data


def _object(digest: Digest) -> str:
    return f"objects/{digest[:2]}/{digest[2:]}"


def _manifest(digest: Digest) -> str:
    return f"manifests/{digest[:2]}/{digest[2:]}"


def _digest(key: str) -> Digest:
    return Digest("".join(key.split("/")[-2:]))


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path or not pure.parts:
        raise InvalidInput(f"{path!r} is not a path inside a tree.", hint="Use relative paths without '..'.")
