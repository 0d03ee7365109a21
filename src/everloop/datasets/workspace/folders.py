"""The tree of a working copy, made of its index: a folder at a time, what is inside of it first."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter

import msgspec

from everloop.datasets.workspace.index import Known
from everloop.datasets.workspace.scan import within
from everloop.store.entities import Digest
from everloop.store.paths import twins
from everloop.store.trees import Columns, encode_columns

_FOLDER = b"d"
Row = tuple[str, bytes, int]
"""A name in a folder, its content as the index has it (a digest with a letter behind it), and its size."""


class Built(msgspec.Struct):
    """A tree that is kept: its root, how much it holds, and the pairs of paths that are one where case is ignored."""

    root: Digest
    files: int
    size: int
    twins: list[tuple[str, str]]


def build(
    folders: Mapping[str, dict[str, Known]], empty: set[str], only: tuple[str, ...], keep: Callable[[bytes], Digest]
) -> Built:
    """Keep the tree of what is on disk; what lies outside of the chosen paths is as it was committed.

    Raises:
        InvalidInput: a name may not stand in a tree, or is both a file's and a folder's.
    """
    rows: dict[str, list[Row]] = {folder: [] for folder in ("", *empty)}
    for folder, names in folders.items():
        if found := _chosen(folder, names, only) if only else _held(names):
            rows[folder] = found
    made = Built(Digest(""), sum(map(len, rows.values())), 0, [])
    for folder in _deepest_first(rows):
        ordered = sorted(rows.pop(folder), key=itemgetter(0))
        made.twins += _twins(folder, ordered)
        size = sum([row[2] for row in ordered])
        root = keep(encode_columns(_columns(ordered)))
        above, _, name = folder.rpartition("/")
        if folder:
            rows[above].append((name, bytes.fromhex(root) + _FOLDER, size))
        else:
            made.root, made.size = root, size
    return made


def twin_remarks(pairs: list[tuple[str, str]]) -> tuple[str, ...]:
    """What macOS and Windows take for one name, with both names: such a version cannot be checked out there."""
    return tuple(
        f"{first!r} and {second!r} are one name where "
        + ("case" if unicodedata.normalize("NFC", first) != unicodedata.normalize("NFC", second) else "Unicode form")
        + " does not count, as on macOS and Windows."
        for first, second in pairs
    )


def _held(names: dict[str, Known]) -> list[Row]:
    return [(name, known.content, known.size) for name, known in names.items() if known.content]


def _chosen(folder: str, names: dict[str, Known], only: tuple[str, ...]) -> list[Row]:
    prefix = f"{folder}/" if folder else ""
    rows = []
    for name, known in names.items():
        here = within(prefix + name, only)
        content, size = (known.content, known.size) if here else (known.base, known.base_size)
        if content:
            rows.append((name, content, size))
    return rows


def _deepest_first(rows: dict[str, list[Row]]) -> Iterator[str]:
    """Every folder after those inside of it; those that only hold folders are put in."""
    for folder in list(rows):
        above = folder
        while above := above.rpartition("/")[0]:
            rows.setdefault(above, [])
    return iter(sorted(rows, reverse=True))  # What is inside of a folder has its path, and more.


def _columns(ordered: list[Row]) -> Columns:
    return Columns(
        [row[0] for row in ordered],
        b"".join([row[1][32:] for row in ordered]).decode(),
        b"".join([row[1][:32] for row in ordered]),
        [row[2] for row in ordered],
    )


def _twins(folder: str, ordered: list[Row]) -> Iterator[tuple[str, str]]:
    prefix = f"{folder}/" if folder else ""
    for first, second in twins([row[0] for row in ordered]):
        yield prefix + first, prefix + second
