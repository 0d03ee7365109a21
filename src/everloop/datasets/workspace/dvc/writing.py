"""Writing a version so that DVC 3 takes it for its own: objects into its cache, and a `.dvc` file for the folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from everloop.datasets.workspace.dvc.layout import DIRECTORY, FOLDER, cache_of, file_md5, manifest_of
from everloop.kernel.errors import InvalidInput, Refused
from everloop.kernel.progress import Progress
from everloop.store.entities import Digest, TreeEntry
from everloop.store.paths import check_path
from everloop.store.service import Store

_READ_ONLY = 0o444
_IGNORED = "/config.local\n/tmp\n/cache\n"


def write_repository(store: Store, root: Digest, top: Path, path: str, progress: Progress) -> tuple[str, ...]:
    """Export a tree to a path of a DVC repository, which is made if need be; what DVC cannot keep, to be told.

    `dvc checkout` then writes the files, and `dvc status` finds them clean.

    Raises:
        InvalidInput: the path leads out of the repository.
        Refused: the version has links, which DVC cannot keep.
    """
    check_path(path)
    entries = store.tree(root)
    links = [entry.path for entry in entries if entry.kind == "link"]
    if links:
        raise Refused(f"DVC keeps no links, and the version has {', '.join(links[:5])}.", hint="Replace them by files.")
    _prepare(top)
    files = [entry for entry in entries if entry.kind != "folder"]
    hashes = _write_files(store, files, cache_of(top), progress)
    manifest = manifest_of(hashes.items())
    md5 = hashlib.md5(manifest, usedforsecurity=False).hexdigest() + DIRECTORY
    _write_object(cache_of(top), md5, manifest)
    size = sum(entry.size for entry in files)
    _write_metafile(top / f"{path}.dvc", md5, size, len(files))
    _ignore(top / f"{path}.dvc")
    return _told(entries)


def _write_files(store: Store, files: list[TreeEntry], cache: Path, progress: Progress) -> dict[str, str]:
    """Put the files into the cache; the MD5 of each path."""
    staging = cache / "files" / "md5" / "everloop.partial"
    staging.parent.mkdir(parents=True, exist_ok=True)
    known: dict[Digest, str] = {}
    for count, entry in enumerate(files, 1):
        if entry.digest not in known:
            store.write_to(entry.digest, staging)
            known[entry.digest] = file_md5(staging)
            _place(staging, _object(cache, known[entry.digest]))
        progress.advance(count, len(files), "exporting", "files")
    return {entry.path: known[entry.digest] for entry in files}


def _write_object(cache: Path, md5: str, data: bytes) -> None:
    staging = cache / "files" / "md5" / "everloop.partial"
    staging.parent.mkdir(parents=True, exist_ok=True)
    staging.write_bytes(data)
    _place(staging, _object(cache, md5))


def _place(staging: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging.chmod(_READ_ONLY)
    staging.replace(target)


def _object(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _prepare(top: Path) -> None:
    """Make a repository where there is none."""
    folder = top / FOLDER
    if folder.is_dir():
        return
    if top.exists() and not top.is_dir():
        raise InvalidInput(f"{top} is no folder.")
    folder.mkdir(parents=True)
    beside_git = (top / ".git").exists()
    (folder / "config").write_text("" if beside_git else "[core]\n    no_scm = True\n")
    (folder / ".gitignore").write_text(_IGNORED)


def _write_metafile(file: Path, md5: str, size: int, files: int) -> None:
    import yaml

    out = {"md5": md5, "size": size, "nfiles": files, "hash": "md5", "path": file.name.removesuffix(".dvc")}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump({"outs": [out]}, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _ignore(file: Path) -> None:
    """Let git ignore the folder, as DVC does."""
    ignored, line = file.with_name(".gitignore"), f"/{file.name.removesuffix('.dvc')}"
    text = ignored.read_text() if ignored.exists() else ""
    if line not in text.splitlines():
        ignored.write_text(f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")


def _told(entries: tuple[TreeEntry, ...]) -> tuple[str, ...]:
    kinds = {"executable": "that they are executable", "folder": "empty folders"}
    return tuple(
        f"DVC does not keep {what}: {', '.join(paths[:5])}{' …' if len(paths) > 5 else ''}."
        for kind, what in kinds.items()
        if (paths := [entry.path for entry in entries if entry.kind == kind])
    )
