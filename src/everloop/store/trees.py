"""Merkle trees: one object for each folder, so that equal folders have equal addresses and are never looked into.

Version 1, frozen: `ELTR1\\n`, then a msgpack array of the names in the order of their UTF-8, one letter of kind for
each (f, x, d, l), their digests in a row (32 bytes each), their sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice, pairwise
from operator import ge

import msgspec
from blake3 import blake3

from everloop.kernel.errors import Corrupted, InvalidInput
from everloop.store.entities import Digest, Entry, Kind, TreeEntry
from everloop.store.paths import check_depth, check_names, check_path

MAGIC = b"ELTR1\n"
_FLAT = b'[{"path"'
_LETTERS: dict[Kind, str] = {"file": "f", "executable": "x", "folder": "d", "link": "l"}
FOLDER = _LETTERS["folder"]
_KINDS: dict[str, Kind] = {letter: kind for kind, letter in _LETTERS.items()}


class Columns(msgspec.Struct, frozen=True, array_like=True):
    """A folder as it is kept: its names in order, a letter of kind for each, their addresses in a row, their sizes."""

    names: list[str]
    kinds: str
    digests: bytes
    sizes: list[int]


_folders = msgspec.msgpack.Decoder(Columns)
_flat = msgspec.json.Decoder(tuple[TreeEntry, ...])


def encode(entries: Iterable[Entry]) -> bytes:
    """A folder as it is kept; the same for equal entries in any order.

    Raises:
        InvalidInput: a name may not stand in a folder, or stands there twice.
    """
    ordered = sorted(entries, key=lambda entry: entry.name)  # By code points: the same order as by UTF-8.
    return encode_columns(
        Columns(
            [entry.name for entry in ordered],
            "".join([_LETTERS[entry.kind] for entry in ordered]),
            bytes.fromhex("".join([entry.digest for entry in ordered])),
            [entry.size for entry in ordered],
        )
    )


def encode_columns(folder: Columns) -> bytes:
    """A folder as it is kept, out of columns that are in the order of their names.

    Raises:
        InvalidInput: a name may not stand in a folder, or stands there twice.
    """
    for name, following in pairwise(folder.names):
        if name >= following:
            raise InvalidInput(f"A tree cannot hold both {name!r} and {following!r}.")
    check_names(folder.names)
    return MAGIC + msgspec.msgpack.encode(folder)


def decode(data: bytes, digest: Digest) -> tuple[Entry, ...]:
    """The entries of a folder, by name.

    Raises:
        Corrupted: the bytes are no folder.
        InvalidInput: a name in it may lead out of the tree.
    """
    folder = columns(data, digest)
    digests = folder.digests.hex()
    addresses = [Digest(digests[at : at + 64]) for at in range(0, len(digests), 64)]
    kinds = [_KINDS[letter] for letter in folder.kinds]
    return tuple(map(Entry, folder.names, kinds, addresses, folder.sizes))


def columns(data: bytes, digest: Digest) -> Columns:
    """A folder's columns, checked; for those who look at few of many names.

    Raises:
        Corrupted: the bytes are no folder.
        InvalidInput: a name in it may lead out of the tree.
    """
    if not data.startswith(MAGIC):
        raise _no_tree(digest, "it does not begin as one")
    try:
        folder = _folders.decode(memoryview(data)[len(MAGIC) :])
    except msgspec.DecodeError as error:
        raise _no_tree(digest, str(error)) from None
    if not len(folder.names) == len(folder.kinds) == len(folder.sizes) == len(folder.digests) / 32:
        raise _no_tree(digest, "its columns have different lengths")
    if not _KINDS.keys() >= set(folder.kinds):
        raise _no_tree(digest, "it has kinds that are not known")
    if any(map(ge, folder.names, islice(folder.names, 1, None))):
        raise _no_tree(digest, "its names are not in order, or one stands there twice")
    check_names(folder.names)
    return folder


def entry_at(folder: Columns, at: int) -> Entry:
    """One entry of a folder."""
    address = Digest(folder.digests[32 * at : 32 * at + 32].hex())
    return Entry(folder.names[at], _KINDS[folder.kinds[at]], address, folder.sizes[at])


def parts(data: bytes) -> tuple[bytes, bytes]:
    """The addresses that a folder names, back to back: of the folders in it, of all else.

    Raises:
        Corrupted: the bytes are no folder.
    """
    if is_flat(data):
        return b"", _flat_addresses(data)
    try:
        folder = _folders.decode(memoryview(data)[len(MAGIC) :])
    except msgspec.DecodeError as error:
        raise _no_tree(Digest(""), str(error)) from None
    digests = folder.digests
    if len(digests) != 32 * len(folder.kinds):
        raise _no_tree(Digest(""), "its columns have different lengths")
    if _LETTERS["folder"] not in folder.kinds:
        return b"", digests
    split = {True: bytearray(), False: bytearray()}
    for at, letter in enumerate(folder.kinds):
        split[letter == _LETTERS["folder"]] += digests[32 * at : 32 * at + 32]
    return bytes(split[True]), bytes(split[False])


def is_tree(data: bytes | bytearray | memoryview) -> bool:
    """Whether bytes begin as those of a folder, or of a list of files as it was kept before there were folders."""
    head = bytes(data[: len(_FLAT)])
    return head.startswith(MAGIC) or head == _FLAT


def is_flat(data: bytes) -> bool:
    """Whether bytes begin as a list of files: a tree in one object, in JSON, as clients may send it."""
    return data.startswith(_FLAT) or data == b"[]"


def decode_flat(data: bytes, digest: Digest) -> tuple[TreeEntry, ...]:
    """The files of a tree that is kept as one list in JSON.

    Raises:
        Corrupted: the bytes are none.
    """
    try:
        return _flat.decode(data)
    except msgspec.DecodeError as error:
        raise _no_tree(digest, str(error)) from None


def build(entries: Iterable[TreeEntry], keep: Callable[[bytes], Digest]) -> Digest:
    """The address of the tree of some files; `keep` is handed each folder, what is below it first.

    Raises:
        InvalidInput: a path leads out of the tree, or two files have one path.
    """
    ordered = sorted(entries, key=lambda entry: entry.path.split("/"))
    open_folders: list[tuple[str, list[Entry]]] = [("", [])]
    for entry in ordered:
        *folders, name = check_path(entry.path).split("/")
        _close(open_folders, folders, keep)
        for folder in folders[len(open_folders) - 1 :]:
            _refuse_twice(open_folders, folder, entry.path)
            open_folders.append((folder, []))
        _refuse_twice(open_folders, name, entry.path)
        digest = keep(encode(())) if entry.kind == "folder" else entry.digest
        open_folders[-1][1].append(Entry(name, entry.kind, digest, entry.size))
    _close(open_folders, [], keep)
    return keep(encode(open_folders[0][1]))


def walked(
    read: Callable[[list[Digest]], Iterable[tuple[Digest, bytes]]], root: tuple[Entry, ...]
) -> tuple[TreeEntry, ...]:
    """The files of a tree, by path; the folders of one depth are read at once.

    Raises:
        Corrupted: a folder in it is none.
    """
    files: list[TreeEntry] = []
    level: list[tuple[str, tuple[Entry, ...]]] = [("", root)]
    while level:
        check_depth(level[0][0])
        inner = [(f"{path}{entry.name}", entry) for path, entries in level for entry in entries]
        folders = {entry.digest for _, entry in inner if entry.kind == "folder" and entry.digest != EMPTY}
        decoded = {digest: decode(data, digest) for digest, data in read(sorted(folders))}
        files += [TreeEntry(path, it.digest, it.size, it.kind) for path, it in inner if it.digest not in decoded]
        level = [(f"{path}/", decoded[it.digest]) for path, it in inner if it.digest in decoded]
    return tuple(sorted(files, key=lambda entry: entry.path))


def _flat_addresses(data: bytes) -> bytes:
    addresses = [entry.digest for entry in decode_flat(data, Digest(""))]
    try:
        raws = [bytes.fromhex(address) for address in addresses]
    except ValueError as error:
        raise _no_tree(Digest(""), str(error)) from None
    if any(len(raw) != 32 for raw in raws):
        raise _no_tree(Digest(""), "an address in it is none")
    return b"".join(raws)


def _close(open_folders: list[tuple[str, list[Entry]]], folders: list[str], keep: Callable[[bytes], Digest]) -> None:
    """Keep the folders that the next file is not in."""
    common = 0
    for (name, _), folder in zip(open_folders[1:], folders, strict=False):
        if name != folder:
            break
        common += 1
    while len(open_folders) > common + 1:
        name, entries = open_folders.pop()
        size = sum(entry.size for entry in entries)
        open_folders[-1][1].append(Entry(name, "folder", keep(encode(entries)), size))


def _refuse_twice(open_folders: list[tuple[str, list[Entry]]], name: str, path: str) -> None:
    """Files come in order, so that a name's twin is the last one there."""
    before = open_folders[-1][1]
    if before and before[-1].name == name:
        parent = "/".join([folder for folder, _ in open_folders[1:]])
        other = f"{parent}/{name}" if parent else name
        raise InvalidInput(f"A tree cannot hold both {other!r} and {path!r}.")


def _no_tree(digest: Digest, reason: str) -> Corrupted:
    return Corrupted(f"Object {digest} is not a tree ({reason}).")


EMPTY = Digest(blake3(encode(())).hexdigest())
"""The address of a folder with nothing in it."""
