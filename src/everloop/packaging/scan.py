"""The scan: everything in a model's files that could run when somebody loads them."""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from everloop.catalog.session import Session
from everloop.packaging.entities import ScanReport
from everloop.registry import pickles
from everloop.registry.entities import Finding, Model, ModelVersion
from everloop.registry.flavor import Flavor

LARGEST = 1 << 30
"""Files that unfold to more bytes than this are not looked into, which is a finding."""
DEEPEST = 3
"""Archives inside archives are looked into this deep."""
_PICKLED = frozenset({".pkl", ".pickle", ".p", ".joblib", ".dill", ".cloudpickle", ".pck", ".sav"})
_PROTOCOLS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_NATIVE = {b"\x7fELF": "Linux", b"MZ\x90\0": "Windows", b"\xcf\xfa\xed\xfe": "macOS"}
_ARCHIVE = b"PK\x03\x04"
_ARRAY = b"\x93NUMPY"


def scan_model(session: Session, trained: Model) -> list[Finding]:
    """What is unsafe in a model's files, registered or not: what its flavor knows, and what stands in each file."""
    with tempfile.TemporaryDirectory(prefix="everloop-scan-") as name:
        folder = Path(name)
        session.store.checkout(trained.digest, folder)
        found = [*session.ports.get(Flavor, trained.flavor).scan(folder), *scan_folder(folder)]
    return list(dict.fromkeys(found))


def report(session: Session, version: ModelVersion) -> ScanReport:
    """The scan of a version as its package carries it: each file with its address, and what was found."""
    trained = version.trained
    files = {entry.path: str(entry.digest) for entry in session.store.tree(trained.digest)}
    found = tuple(scan_model(session, trained))
    return ScanReport(version.model, version.version, files, found, all(one.severity != "error" for one in found))


def scan_folder(folder: Path) -> list[Finding]:
    """What is unsafe in the files below a folder. Nothing of them is run."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        finding for path in files for finding in _looked_into(path.relative_to(folder).as_posix(), path.read_bytes(), 0)
    ]


def _looked_into(path: str, data: bytes, depth: int) -> Iterator[Finding]:
    opened = _opener(data)
    if opened is not None:
        yield from _unfolded(path, data, depth, opened)
    elif data.startswith(_ARCHIVE) or zipfile.is_zipfile(io.BytesIO(data)):
        yield from _members(path, data, depth)
    elif data.startswith(_ARRAY):
        yield from _objects(path, data)
    elif data[:4] in _NATIVE:
        yield Finding(path, f"It is native code for {_NATIVE[data[:4]]}.", "warning")
    elif _meant_as_pickle(path, data) or pickles.is_pickle(data):
        yield from (Finding(path, problem) for problem in pickles.problems(data))


def _opener(data: bytes) -> Callable[[BinaryIO], BinaryIO] | None:
    """What unfolds compressed bytes; none when they are not compressed."""
    if data.startswith(b"\x1f\x8b"):
        return lambda file: cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if data.startswith(b"BZh"):
        return lambda file: cast(BinaryIO, bz2.BZ2File(file))
    if data.startswith((b"\xfd7zXZ\0", b"\x5d\0\0\x80\0")):
        return lambda file: cast(BinaryIO, lzma.LZMAFile(file))
    if data[:1] == b"\x78" and data[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        return lambda file: io.BytesIO(zlib.decompressobj().decompress(file.read(), LARGEST + 1))
    return None


def _unfolded(path: str, data: bytes, depth: int, opened: Callable[[BinaryIO], BinaryIO]) -> Iterator[Finding]:
    try:
        inside = opened(io.BytesIO(data)).read(LARGEST + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        yield Finding(path, "It is compressed and broken, so nobody can tell what it holds.")
        return
    yield from _deeper(path, inside, depth)


def _members(path: str, data: bytes, depth: int) -> Iterator[Finding]:
    if not data.startswith(_ARCHIVE):
        yield Finding(path, "It is an archive behind something else.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                if PurePosixPath(entry.filename).is_absolute() or ".." in PurePosixPath(entry.filename).parts:
                    yield Finding(f"{path}!{entry.filename}", "Its path leads out of the archive.")
                with archive.open(entry) as member:
                    yield from _deeper(f"{path}!{entry.filename}", member.read(LARGEST + 1), depth)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, zlib.error):
        yield Finding(path, "It is an archive that is broken or locked, so nobody can tell what it holds.")


def _deeper(path: str, inside: bytes, depth: int) -> Iterator[Finding]:
    if len(inside) > LARGEST or depth >= DEEPEST:
        yield Finding(path, "It unfolds too far to be looked into.")
    else:
        yield from _looked_into(path, inside, depth + 1)


def _objects(path: str, data: bytes) -> Iterator[Finding]:
    """An array of Python objects is a pickle behind a header that says so."""
    width = 2 if data[6:7] == b"\x01" else 4
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    try:
        header = ast.literal_eval(data[8 + width : start].decode("latin-1").strip())
        holds_objects = "o" in repr(header["descr"]).lower()
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        yield Finding(path, "It is an array with a broken header.")
        return
    if holds_objects:
        yield from (Finding(path, problem) for problem in pickles.problems(data[start:]))


def _meant_as_pickle(path: str, data: bytes) -> bool:
    names = path.split("!")
    return data.startswith(_PROTOCOLS) or any(PurePosixPath(name).suffix.lower() in _PICKLED for name in names)
