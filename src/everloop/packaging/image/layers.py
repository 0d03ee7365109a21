"""Layers: files as a compressed tar, the same bytes for the same files whenever and wherever it is made."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from everloop.store.entities import Digest

LEVEL = 6
_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """One file of a layer: its bytes or where they lie; or a symbolic link, or a folder of its own."""

    data: bytes | Path = b""
    mode: int = 0o644
    link: str = ""
    folder: bool = False


class Layer(msgspec.Struct, frozen=True):
    """A layer that is in the store under `object`: `digest` is of the compressed bytes, `diff` of the tar in them."""

    name: str
    digest: str
    diff: str
    size: int
    unpacked: int
    object: Digest


Files = Mapping[str, File]


def write_layer(files: Files, out: BinaryIO) -> tuple[str, str, int, int]:
    """Write the files as a compressed tar: digest, digest of the tar, size, size unpacked."""
    outer, inner = _Hashing(out), None
    with gzip.GzipFile("", "wb", LEVEL, outer, mtime=0) as packed:
        inner = _Hashing(packed)
        with tarfile.open(fileobj=inner, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for folder in _folders(files):
                archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o755))
            for name in sorted(files):
                _add(archive, name, files[name])
    return outer.hash.hexdigest(), inner.hash.hexdigest(), outer.size, inner.size


def layer_bytes(files: Files) -> bytes:
    """A small layer, in memory."""
    out = io.BytesIO()
    write_layer(files, out)
    return out.getvalue()


class _Hashing(io.RawIOBase):
    """Passes bytes on, and knows how many they were and what they hash to."""

    def __init__(self, out: BinaryIO | gzip.GzipFile) -> None:
        self.hash = hashlib.sha256()
        self.size = 0
        self._out = out

    def write(self, data: bytes) -> int:  # type: ignore[override]  # any buffer, as a tar writes them
        """Take some bytes."""
        self.hash.update(data)
        self.size += len(data)
        self._out.write(data)
        return len(data)


def _folders(files: Files) -> list[str]:
    parents = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return sorted(parents - {"."})


def _entry(name: str, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
    """A header without user, group or time."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry


def _add(archive: tarfile.TarFile, name: str, file: File) -> None:
    if file.link:
        entry = _entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = file.link
        archive.addfile(entry)
    elif file.folder:
        archive.addfile(_entry(name, tarfile.DIRTYPE, file.mode))
    elif isinstance(file.data, Path):
        with file.data.open("rb") as opened:
            archive.addfile(_entry(name, tarfile.REGTYPE, file.mode, file.data.stat().st_size), opened)
    else:
        archive.addfile(_entry(name, tarfile.REGTYPE, file.mode, len(file.data)), io.BytesIO(file.data))
