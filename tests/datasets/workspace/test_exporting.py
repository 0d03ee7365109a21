"""Versions as folders and archives that any tool reads."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.datasets.workspace.exchange import export_version
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import Conflict, InvalidInput
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


@pytest.fixture
def added(opened: Opened, images: Path) -> Path:
    """A version with all kinds of things in it."""
    write(images, {"run.sh": "#!/bin/sh"})
    (images / "run.sh").chmod(0o755)
    (images / "link").symlink_to("deep/er/c.txt")
    (images / "hollow").mkdir()
    opened(images).add()
    return images


def test_a_folder_has_the_files_and_nothing_else(versions: Kept, added: Path, tmp_path: Path) -> None:
    made = export_version(versions, "images", "", tmp_path / "out")
    assert (made.files, read(tmp_path / "out")) == (5, read(added))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["caches", "home", "out", "work"]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tgz"])
def test_a_tar_has_files_links_and_modes(versions: Kept, added: Path, tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"images{ending}"
    export_version(versions, "images", "1", target)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", target, "-C", tmp_path / "out"], check=True)
    assert read(tmp_path / "out") == read(added)
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK)


def test_a_zip_has_files_and_modes(versions: Kept, added: Path, tmp_path: Path) -> None:
    export_version(versions, "images", "", tmp_path / "images.zip")
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("deep/er/c.txt") == b"three"
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert (oct(modes["run.sh"]), oct(modes["link"]), oct(modes["hollow/"])) == ("0o100755", "0o120777", "0o40755")


@pytest.mark.parametrize("ending", [".tar", ".zip"])
def test_equal_versions_make_equal_archives(versions: Kept, added: Path, tmp_path: Path, ending: str) -> None:
    for name in ("one", "two"):
        export_version(versions, "images", "", tmp_path / f"{name}{ending}")
    assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()


def test_a_large_file_goes_into_an_archive_piece_by_piece(
    versions: Kept, opened: Opened, images: Path, tmp_path: Path
) -> None:
    data = os.urandom(3_000_000)
    opened(write(images, {"large.bin": data})).add()
    export_version(versions, "images", "", tmp_path / "images.tar")
    with tarfile.open(tmp_path / "images.tar") as archive:
        assert archive.extractfile("large.bin").read() == data  # type: ignore[union-attr]


def test_nothing_is_overwritten(versions: Kept, added: Path, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="there already"):
        export_version(versions, "images", "", added)
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(Conflict):
        export_version(versions, "images", "", tmp_path / "a.zip")


def test_a_table_is_exported_elsewhere(versions: Kept, tmp_path: Path) -> None:
    versions.call("datasets.commit", {"name": "t", "digest": versions.store.put(b"a\n1\n"), "format": "csv"})
    with pytest.raises(InvalidInput, match="table"):
        export_version(versions, "t", "", tmp_path / "out")
