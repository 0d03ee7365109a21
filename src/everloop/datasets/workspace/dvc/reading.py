"""Taking a DVC repository's files into the store, each held to its MD5."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from everloop.datasets.workspace.dvc.layout import Out, Repository, Tracked, fits
from everloop.datasets.workspace.scan import within
from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest, Kind, TreeEntry
from everloop.store.paths import check_path
from everloop.store.service import Store


class Read(msgspec.Struct, frozen=True):
    """What was taken from a DVC repository: the tree's root, how many files and bytes, and what DVC tracked."""

    root: Digest
    files: int
    size: int
    outs: tuple[str, ...]


def read_repository(store: Store, top: Path, only: tuple[str, ...], progress: Progress) -> Read:
    """Put everything that a DVC repository tracks (or what is at or below some paths) into the store, as one tree.

    Raises:
        NotFound: it is no repository, tracks nothing there, or its cache lacks a file.
        Corrupted: a file has not the MD5 that DVC gave it.
        InvalidInput: a path leads out of the repository.
    """
    repository = Repository(top)
    outs = [out for out in repository.outs() if not only or _touches(out, only)]
    if not outs:
        raise NotFound(f"DVC tracks nothing in {top}{_among(only)}.", hint="Look at its .dvc files and dvc.lock.")
    tracked = [file for out in outs for file in repository.files(out) if within(file.path, only)]
    for file in tracked:
        check_path(file.path)
    with store.bulk() as bulk:
        entries = []
        for count, file in enumerate(tracked, 1):
            _verify(file)
            entries.append(TreeEntry(file.path, bulk.put_file(file.source), file.source.stat().st_size, _kind(file)))
            progress.advance(count, len(tracked), "importing", "files")
        root = store.put_tree(_unique(entries), bulk)
    return Read(root, len(entries), sum(entry.size for entry in entries), tuple(out.path for out in outs))


def _verify(file: Tracked) -> None:
    if not fits(file.source, file.md5, legacy=file.legacy):
        raise Corrupted(
            f"{file.path!r} in DVC's cache has not the MD5 {file.md5}.", hint="Remove it there and run dvc fetch."
        )


def _touches(out: Out, only: tuple[str, ...]) -> bool:
    return within(out.path, only) or any(chosen.startswith(f"{out.path}/") for chosen in only)


def _kind(file: Tracked) -> Kind:
    return "executable" if file.executable else "file"


def _unique(entries: Iterable[TreeEntry]) -> list[TreeEntry]:
    """Each path once: a folder and something in it may both be tracked."""
    return list({entry.path: entry for entry in entries}.values())


def _among(only: tuple[str, ...]) -> str:
    return f" at {', '.join(only)}" if only else ""
