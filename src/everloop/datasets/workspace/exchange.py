"""Versions from other tools, and for them: DVC repositories, folders, archives."""

from __future__ import annotations

from pathlib import Path

import msgspec

from everloop.datasets.entities import Snapshot
from everloop.datasets.workspace.beside import noted
from everloop.datasets.workspace.workspace import Versions, default_name
from everloop.kernel.errors import InvalidInput
from everloop.kernel.progress import SILENT, Progress
from everloop.store.entities import Digest


class Exported(msgspec.Struct, frozen=True):
    """What an export wrote, and what the other side cannot keep."""

    dataset: str
    version: int
    target: str
    files: int
    remarks: tuple[str, ...] = ()


def import_dvc(
    versions: Versions, top: Path, name: str = "", only: tuple[str, ...] = (), progress: Progress = SILENT
) -> Snapshot:
    """Commit everything that a DVC repository tracks (or some paths of it) as a version of a dataset.

    Raises:
        NotFound: there is no repository, or its cache lacks a file.
        Corrupted: a file has not the MD5 that DVC gave it.
    """
    from everloop.datasets.workspace.dvc.reading import read_repository

    read = read_repository(versions.store, top, tuple(path.strip("/") for path in only), progress)
    note = noted(f"Imported from DVC: {', '.join(read.outs)}", top / "any")
    made: Snapshot = versions.call(
        "datasets.commit_files", {"name": name or default_name(top.absolute()), "digest": read.root, "note": note}
    )
    return made


def export_version(versions: Versions, dataset: str, at: str, target: Path, progress: Progress = SILENT) -> Exported:
    """Write a version to a folder, or to an archive where the target ends with .zip, .tar or .tar.gz.

    Raises:
        Conflict: something is there already.
    """
    from everloop.datasets.workspace.exporting import export

    snapshot = _files_of(versions, dataset, at)
    files = export(versions.store, snapshot.digest, target, progress)
    return Exported(dataset, snapshot.version, str(target), files)


def export_dvc(
    versions: Versions, dataset: str, at: str, top: Path, path: str = "", progress: Progress = SILENT
) -> Exported:
    """Write a version to a path of a DVC repository (the dataset's name, if none is given), as DVC 3 keeps it.

    Raises:
        Refused: the version has links, which DVC cannot keep.
    """
    from everloop.datasets.workspace.dvc.writing import write_repository

    snapshot = _files_of(versions, dataset, at)
    remarks = write_repository(versions.store, Digest(snapshot.digest), top, path or dataset, progress)
    return Exported(dataset, snapshot.version, str(top / f"{path or dataset}.dvc"), snapshot.files, remarks)


def _files_of(versions: Versions, dataset: str, at: str) -> Snapshot:
    snapshot: Snapshot = versions.call("datasets.get", {"name": dataset, "at": at})
    if snapshot.kind != "files":
        raise InvalidInput(f"{dataset}@{snapshot.version} is a table, and no folder of files.")
    return snapshot
