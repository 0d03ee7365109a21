"""What one can do with bytes: put them in, get them out verified, keep folders, sweep what nothing points to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec
from blake3 import blake3

from everloop.kernel.errors import Conflict, Corrupted, InvalidInput, NotFound
from everloop.store.blobs import GRACE, Blob, Blobs
from everloop.store.chunks import WHOLE, chunked, chunked_stream
from everloop.store.entities import Digest, Manifest, StoreStats, SweepReport, TreeEntry

_trees = msgspec.json.Decoder(tuple[TreeEntry, ...])
_manifests = msgspec.json.Decoder(Manifest)
_ADDRESS = re.compile(r"[0-9a-f]{64}")
_OBJECTS, _MANIFESTS = "objects/", "manifests/"
_MARK = "marks/sweep"
_TREE_HEAD = b'[{"path"'
_RESTORE = "Restore it from a copy of the store."


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
        if len(view) <= WHOLE:
            if not self._blobs.touch(_object(digest)):
                self._blobs.put(_object(digest), bytes(view))
        elif not self._blobs.touch(_manifest(digest)):
            self._put_chunks(digest, chunked(view))
        return digest

    def put_file(self, path: Path) -> Digest:
        """Keep a file's bytes; of a large file only some are in memory at a time.

        Raises:
            NotFound: there is no such file.
            Conflict: somebody changed the file meanwhile.
        """
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size <= WHOLE:
                    return self.put(file.read())
                digest = _digest_of_stream(file)
                if not self._blobs.touch(_manifest(digest)):
                    file.seek(0)
                    self._put_chunks(digest, chunked_stream(file))
                return digest
        except FileNotFoundError:
            raise NotFound(f"There is no file {path}.") from None

    def get(self, digest: Digest) -> bytes:
        """The bytes at an address.

        Raises:
            NotFound: the store has nothing there.
            Corrupted: what it has is not what the address says.
        """
        try:
            data = self._blobs.get(_object(digest))
        except NotFound:
            data = b"".join(self._chunks(self._read_manifest(digest)))
        return _verified(data, digest)

    def has(self, digest: Digest) -> bool:
        """Whether the store holds the address."""
        return self._blobs.has(_object(digest)) or self._blobs.has(_manifest(digest))

    def write_to(self, digest: Digest, path: Path) -> None:
        """Write an object to a file, whole or not at all; of a large object only some is in memory at a time."""
        temporary = path.with_name(f".{path.name}.partial")
        try:
            with temporary.open("wb") as file:
                for part in self._verified_parts(digest):
                    file.write(part)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def put_tree(self, entries: Iterable[TreeEntry]) -> Digest:
        """Keep a tree of files that are in the store already; equal trees have equal addresses.

        Raises:
            InvalidInput: a path leads out of the tree, or two files have one path.
        """
        ordered = sorted(entries)
        for entry in ordered:
            _check_path(entry.path)
        for entry, following in pairwise(ordered):
            if following.path == entry.path or following.path.startswith(f"{entry.path}/"):
                raise InvalidInput(f"A tree cannot hold both {entry.path!r} and {following.path!r}.")
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
            self.write_to(entry.digest, target)

    def stats(self) -> StoreStats:
        """How many objects the store holds, and in how many bytes."""
        sizes = [blob.size for kind in (_OBJECTS, _MANIFESTS) for blob in self._blobs.keys(kind)]
        return StoreStats(len(sizes), sum(sizes))

    def digests(self) -> Iterator[Digest]:
        """Every address in the store, chunks too."""
        for kind in (_OBJECTS, _MANIFESTS):
            for blob in self._blobs.keys(kind):
                yield _digest(blob.key)

    def sweep(self, roots: Iterable[Digest], *, dry_run: bool, grace: timedelta = GRACE) -> SweepReport:
        """Remove what no root reaches and nobody wrote within the `grace`.

        Roots are objects and trees; a tree's files and an object's chunks are kept with it. Grace is for those who have
        put something and are about to point to it: with none, nobody may write at the same time.
        """
        self._blobs.put(_MARK, b"")
        # The place's own clock says what is young; ours may differ, and may be a simulated one.
        oldest = next(self._blobs.keys(_MARK)).modified - grace
        live = self._reachable(roots)
        blobs = [blob for blob in self._blobs.keys("") if blob.key != _MARK]
        live |= self._reachable(_digest(blob.key) for blob in blobs if blob.modified > oldest)
        dead = [blob for blob in blobs if _digest(blob.key) not in live]
        if not dry_run:
            dead = [blob for blob in dead if self._delete_old(blob, oldest)]
        return SweepReport(len(blobs) - len(dead), len(dead), sum(blob.size for blob in dead), dry_run)

    def _reachable(self, roots: Iterable[Digest]) -> set[Digest]:
        live: set[Digest] = set()
        for root in roots:
            if root not in live and _ADDRESS.fullmatch(root) and self.has(root):
                live.update(self._parts(root))
            live.add(root)
        return live

    def _delete_old(self, blob: Blob, oldest: datetime) -> bool:
        """Delete a blob, unless somebody has touched it since it was listed."""
        if any(now.modified > oldest for now in self._blobs.keys(blob.key)):
            return False
        self._blobs.delete(blob.key)
        return True

    def _parts(self, digest: Digest) -> Iterator[Digest]:
        """What an object needs beside itself: its chunks and, if it is a tree, its files and theirs."""
        for entry in self._entries(digest):
            yield entry.digest
            yield from self._chunks_of(entry.digest)
        yield from self._chunks_of(digest)

    def _entries(self, digest: Digest) -> tuple[TreeEntry, ...]:
        """The files of a tree; none for anything else."""
        chunks = self._chunks_of(digest)
        try:
            head = self._blobs.get(_object(chunks[0] if chunks else digest))
            return _trees.decode(self.get(digest)) if head.startswith(_TREE_HEAD) else ()
        except msgspec.DecodeError:
            return ()

    def _chunks_of(self, digest: Digest) -> tuple[Digest, ...]:
        return self._read_manifest(digest).chunks if self._blobs.has(_manifest(digest)) else ()

    def _put_chunks(self, digest: Digest, chunks: Iterable[memoryview]) -> None:
        """Keep the chunks, then the manifest that names them, unless they do not add up to the address."""
        addresses: list[Digest] = []
        whole = blake3()
        size = 0

        def new() -> Iterator[tuple[str, bytes]]:
            nonlocal size
            for chunk in chunks:
                whole.update(chunk)
                size += len(chunk)
                addresses.append(digest_of(chunk))
                key = _object(addresses[-1])
                if not self._blobs.touch(key):
                    yield key, bytes(chunk)

        self._blobs.put_all(new())
        if whole.hexdigest() != digest:
            raise Conflict("The file was changed while it was read.", hint="Try again when nobody writes to it.")
        self._blobs.put(_manifest(digest), msgspec.json.encode(Manifest(size, tuple(addresses))))

    def _chunks(self, manifest: Manifest) -> Iterator[bytes]:
        fetched = self._blobs.get_all(_object(chunk) for chunk in manifest.chunks)
        return (_verified(data, chunk) for data, chunk in zip(fetched, manifest.chunks, strict=True))

    def _verified_parts(self, digest: Digest) -> Iterator[bytes]:
        if not self._blobs.has(_manifest(digest)):
            yield self.get(digest)
            return
        whole = blake3()
        for part in self._chunks(self._read_manifest(digest)):
            whole.update(part)
            yield part
        _require_equal(whole.hexdigest(), digest)

    def _read_manifest(self, digest: Digest) -> Manifest:
        try:
            return _manifests.decode(self._blobs.get(_manifest(digest)))
        except NotFound:
            raise NotFound(f"The store has no object {digest}.") from None
        except msgspec.DecodeError as error:
            raise Corrupted(f"The manifest of object {digest} is damaged ({error}).", hint=_RESTORE) from None


def digest_of(data: bytes | memoryview) -> Digest:
    """The address of some bytes."""
    return Digest(blake3(data, max_threads=blake3.AUTO if len(data) > WHOLE else 1).hexdigest())


def _digest_of_stream(file: BinaryIO) -> Digest:
    whole = blake3(max_threads=blake3.AUTO)
    while block := file.read(8 * WHOLE):
        whole.update(block)
    return Digest(whole.hexdigest())


def _verified(data: bytes, digest: Digest) -> bytes:
    _require_equal(digest_of(data), digest)
    return data


def _require_equal(found: str, digest: Digest) -> None:
    if found != digest:
        raise Corrupted(f"Object {digest} has other bytes than its address says.", hint=_RESTORE)


def _object(digest: Digest) -> str:
    return f"{_OBJECTS}{_fanned(digest)}"


def _manifest(digest: Digest) -> str:
    return f"{_MANIFESTS}{_fanned(digest)}"


def _fanned(digest: Digest) -> str:
    if not _ADDRESS.fullmatch(digest):
        raise InvalidInput(f"{digest!r} is not an address.", hint="Addresses are 64 hexadecimal digits, in lower case.")
    return f"{digest[:2]}/{digest[2:]}"


def _digest(key: str) -> Digest:
    return Digest("".join(key.split("/")[-2:]))


def _check_path(path: str) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path or not pure.parts:
        raise InvalidInput(f"{path!r} is not a path inside a tree.", hint="Use relative paths without '..'.")
