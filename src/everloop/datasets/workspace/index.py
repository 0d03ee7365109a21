"""What is known of a folder's files since they were last read, so that what has not changed is not read again.

The index is a cache: it may be deleted at any time, and is then made anew by reading every file once.
"""

from __future__ import annotations

import gc
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from blake3 import blake3

from everloop.store.entities import Digest, Kind, TreeEntry

_MAGIC = b"ELWI1\n"
_UNSURE_NS = 20_000_000
"""Files that changed so shortly before the index was written may change again within one tick of the disk's clock."""
_LETTERS: dict[Kind, bytes] = {"file": b"f", "executable": b"x", "link": b"l", "folder": b"d"}
_KINDS: dict[bytes, Kind] = {letter: kind for kind, letter in _LETTERS.items()}


class Known(msgspec.Struct, array_like=True, gc=False):
    """A file as it was when it was read (`mode` 0: it is not there), and what the committed version has in its place.

    `content` and `base` are digests as bytes with a letter for the kind behind them (`content_of`), so that one
    comparison tells whether a file is as committed; empty where there is no file.
    """

    size: int = 0
    modified: int = 0
    changed: int = 0
    inode: int = 0
    mode: int = 0
    content: bytes = b""
    base: bytes = b""
    base_size: int = 0

    def seen(self, status: os.stat_result, content: bytes) -> None:
        """Keep what was read."""
        self.size, self.modified, self.changed = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        self.inode, self.mode, self.content = status.st_ino, status.st_mode, content

    def gone(self) -> None:
        """Keep that there is no such file any more."""
        self.size = self.modified = self.changed = self.inode = self.mode = 0
        self.content = b""


class _Saved(msgspec.Struct, array_like=True, gc=False):
    root: str
    empty: list[str]
    base_empty: list[str]
    rules: dict[str, bytes]
    folders: dict[str, dict[str, Known]]
    packs: list[bytes] = []


_decoder = msgspec.msgpack.Decoder(_Saved)


class Index:
    """The files of a folder: by folder (`""` is the top), by name. `root` is the tree that the bases are of.

    `packs` names those of the store that held all of that tree when it was added; nothing when that is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = ""
        self.empty: set[str] = set()
        self.base_empty: set[str] = set()
        self.rules: dict[str, bytes] = {}
        self.folders: dict[str, dict[str, Known]] = {}
        self.packs: set[bytes] = set()

    @classmethod
    def load(cls, path: Path) -> Index:
        """The index in a file; an empty one when there is none, or it is damaged."""
        made = cls(path)
        try:
            data = path.read_bytes()
        except OSError:
            return made
        body = memoryview(data)[len(_MAGIC) + 4 :]
        if data[: len(_MAGIC)] != _MAGIC or zlib.crc32(body).to_bytes(4, "little") != data[len(_MAGIC) :][:4]:
            return made
        with _uncollected():
            try:
                saved = _decoder.decode(body)
            except msgspec.DecodeError:
                return made
        made.root, made.rules, made.folders = saved.root, saved.rules, saved.folders
        made.packs = set(saved.packs)
        made.empty, made.base_empty = set(saved.empty), set(saved.base_empty)
        return made

    def save(self) -> None:
        """Write the index. A file that changed within the last moments is one to read again next time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            self._doubt_since(os.fstat(file.fileno()).st_mtime_ns - _UNSURE_NS)
            empty, base_empty = sorted(self.empty), sorted(self.base_empty)
            saved = _Saved(self.root, empty, base_empty, self.rules, self.folders, sorted(self.packs))
            body = msgspec.msgpack.encode(saved)
            file.write(_MAGIC + zlib.crc32(body).to_bytes(4, "little") + body)
        temporary.replace(self.path)

    def at(self, path: str) -> Known | None:
        """What is known of a path."""
        folder, _, name = path.rpartition("/")
        return self.folders.get(folder, {}).get(name)

    def need(self, path: str) -> Known:
        """What is known of a path; an entry for it is made."""
        folder, _, name = path.rpartition("/")
        return self.folders.setdefault(folder, {}).setdefault(name, Known())

    def note(self, path: str, status: os.stat_result, content: bytes) -> None:
        """Keep what was read of a path."""
        folder, _, name = path.rpartition("/")
        names = self.folders.setdefault(folder, {})
        known = names.get(name)
        if known is not None:
            known.seen(status, content)
        else:
            names[name] = Known(
                status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_mode, content
            )

    def items(self) -> Iterator[tuple[str, Known]]:
        """Every path with what is known of it."""
        for folder, names in self.folders.items():
            prefix = f"{folder}/" if folder else ""
            for name, known in names.items():
                yield prefix + name, known

    def rebase(self, path: str, entry: TreeEntry | None) -> None:
        """Set the committed content of a path; None: the version has nothing there."""
        self.base_empty.discard(path)
        known = self.at(path) or Known()
        known.base, known.base_size = b"", 0
        if entry is not None and entry.kind == "folder":
            self.base_empty.add(path)
        elif entry is not None:
            known = self.need(path)
            known.base, known.base_size = content_of(bytes.fromhex(entry.digest), entry.kind), entry.size

    def commit(self, root: str, outside: Callable[[str], bool] = lambda _: False) -> None:
        """Take what is on disk as the committed version; paths `outside` of what is kept here stay as they were."""
        for path, known in self.items():
            if not outside(path):
                known.base, known.base_size = known.content, known.size
        self.root, self.base_empty = root, set(self.empty)
        self.forget()

    def forget(self) -> None:
        """Drop the entries of files that are neither on disk nor in the version."""
        for folder, names in list(self.folders.items()):
            for name in [name for name, known in names.items() if not known.content and not known.base]:
                del names[name]
            if not names:
                del self.folders[folder]

    def _doubt_since(self, moment: int) -> None:
        for names in self.folders.values():
            for known in names.values():
                if known.changed >= moment:
                    known.modified = -1


def content_of(digest: bytes, kind: Kind) -> bytes:
    """A digest and a kind as one value."""
    return digest + _LETTERS[kind]


def entry_of(path: str, content: bytes, size: int) -> TreeEntry:
    """The entry of a tree for a path with this content."""
    return TreeEntry(path, Digest(content[:32].hex()), size, _KINDS[content[32:]])


def digest_in(content: bytes) -> Digest:
    """The address in a content."""
    return Digest(content[:32].hex())


def kind_of(mode: int) -> Kind:
    """What a file with this mode is kept as: permissions beside the owner's to execute are not."""
    if stat.S_ISLNK(mode):
        return "link"
    return "executable" if mode & stat.S_IXUSR else "file"


def index_path(home: Path, folder: Path) -> Path:
    """Where a home keeps the index of a folder."""
    return home / "workspace" / f"{blake3(os.fsencode(folder)).hexdigest()[:32]}.index"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Spare the garbage collector many new objects that all stay."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
