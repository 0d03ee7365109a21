"""Adoption: an immutable file becomes part of the store without a copy, by a second name or by shared blocks.

The file is kept under `adopted/`; what lies where in it is said by a footer like that of a pack, under `sidecars/`.
Whoever changes the file afterwards damages the store: every read verifies, names the file and refuses its bytes.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from blake3 import blake3

from everloop.kernel.errors import Conflict, NotFound, Refused
from everloop.store import chunks, packs
from everloop.store.bulk import Bulk
from everloop.store.chunks import WHOLE, Recipe, chunked_stream
from everloop.store.entities import Digest
from everloop.store.index import PackInfo
from everloop.store.objects import Objects, footer_key, kind_of, payload_key
from everloop.store.packs import Row

Way = Literal["reflink", "hardlink"]
_FICLONE = 0x40049409
_WORTH = 0.5
"""A file is adopted when more than this share of its chunks is new; else its new chunks alone are kept."""


def adopt(objects: Objects, bulk: Bulk, path: Path, ways: Sequence[Way] = ("reflink", "hardlink")) -> Digest:
    """The address of a large file's bytes, which stay where they are. A hard link takes everybody's right to write.

    Raises:
        NotFound: there is no such file.
        Conflict: somebody changed it meanwhile.
        Refused: the store is no folder on the same disk, or the disk knows none of the ways.
    """
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            if before.st_size <= WHOLE:
                return bulk.put_file(path)
            digest, recipe, rows = _cut(file)
            known = objects.index.known({row.digest for row in rows})
            if len(known) > len(rows) * _WORTH:
                return bulk.put_file(path)
            _keep(objects, file, rows, ways, before)
    except FileNotFoundError:
        raise NotFound(f"There is no file {path}.") from None
    bulk.add_recipe(digest, recipe)
    return digest


def _cut(file: BinaryIO) -> tuple[Digest, Recipe, list[Row]]:
    """A file's address, its recipe, and where its chunks lie in it."""
    whole, rows, sizes, digests, offset = blake3(), {}, bytearray(), bytearray(), 0
    for piece in chunked_stream(file):
        whole.update(piece)
        raw = blake3(piece).digest()
        rows[raw] = Row(raw, offset, len(piece), len(piece), packs.RAW, kind_of(piece))
        digests += raw
        sizes += len(piece).to_bytes(4, "little")
        offset += len(piece)
    recipe = Recipe(chunks.FASTCDC_64K, offset, bytes(digests), bytes(sizes))
    return Digest(whole.hexdigest()), recipe, list(rows.values())


def _keep(objects: Objects, file: BinaryIO, rows: list[Row], ways: Sequence[Way], before: os.stat_result) -> None:
    """The file first, then the footer that says what is in it, if that is still so, then the index."""
    footer, name = packs.footer(rows)
    pack = PackInfo(name, len(footer), True)
    if objects.blobs.local is None:
        raise Refused("Only a store in a folder of this machine adopts files.", hint="Add it by a copy.")
    target = objects.blobs.local / payload_key(pack)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.fsync(file.fileno())
    fresh = not target.exists()
    if fresh:
        _linked(file, target, ways)
    if _state(os.fstat(file.fileno())) != _state(before):
        if fresh:
            target.unlink()
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
        raise Conflict(f"The file {file.name} was changed while it was read.", hint="Adopt only what nobody writes to.")
    objects.blobs.put(footer_key(pack), footer)
    objects.index.add(pack, rows)


def _state(of: os.stat_result) -> tuple[int, int]:
    return of.st_mtime_ns, of.st_size


def _linked(file: BinaryIO, target: Path, ways: Sequence[Way]) -> None:
    reasons = []
    for way in ways:
        try:
            (_reflink if way == "reflink" else _hardlink)(file, target)
            _sync(target.parent)
        except OSError as error:
            reasons.append(f"{way}: {error.strerror}")
        else:
            return
    raise Refused(
        f"The file {file.name} cannot be adopted ({', '.join(reasons)}).",
        hint="Add it by a copy, or keep the store on the same disk.",
    )


def _reflink(file: BinaryIO, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.partial")
    try:
        with temporary.open("wb") as shared:
            fcntl.ioctl(shared, _FICLONE, file.fileno())
            os.fsync(shared.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _hardlink(file: BinaryIO, target: Path) -> None:
    # The open file itself gets the name, whatever its path leads to by now; Python follows the link only from a folder.
    handles = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(str(file.fileno()), target, src_dir_fd=handles, follow_symlinks=True)
    finally:
        os.close(handles)
    os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~0o222)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
