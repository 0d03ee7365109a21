"""A folder of files under versions, on a fresh platform."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from everloop.app.platform import Platform
from everloop.datasets.workspace.entities import Metafile
from everloop.datasets.workspace.workspace import Workspace
from everloop.store.service import Store


class Kept:
    """A platform as a working copy sees it, which counts the calls that it gets."""

    def __init__(self, platform: Platform, home: Path) -> None:
        self._platform = platform
        self.home = home
        self.calls: list[str] = []

    @property
    def store(self) -> Store:
        return self._platform.resources.store

    def version(self, dataset: str, number: int) -> Metafile | None:
        return None

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        self.calls.append(name)
        return self._platform.call(name, arguments)


Files = Mapping[str, str | bytes]


def write(folder: Path, files: Files) -> Path:
    """Write files below a folder."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path) -> dict[str, str]:
    """Every file below a folder: its content, or `-> target` for a link; folders that are empty as `name/`."""
    found: dict[str, str] = {}
    for at, folders, names in os.walk(folder):
        here = Path(at)
        for name in [*names, *(name for name in folders if (here / name).is_symlink())]:
            path = here / name
            key = path.relative_to(folder).as_posix()
            found[key] = f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes().decode("latin-1")
        if not folders and not names and here != folder:
            found[f"{here.relative_to(folder).as_posix()}/"] = ""
    return found


@pytest.fixture
def versions(platform: Platform, tmp_path: Path) -> Kept:
    """The platform, as a working copy sees it."""
    return Kept(platform, tmp_path / "caches")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with three files."""
    return write(tmp_path / "work" / "images", {"a.txt": "one", "b.txt": "two", "deep/er/c.txt": "three"})


@pytest.fixture
def opened(versions: Kept) -> Callable[[Path], Workspace]:
    """Opens the working copy in a folder anew, as each command does."""
    return lambda folder: Workspace(folder, versions)


@pytest.fixture
def repository(images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder above the images as a git repository."""
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "A. Author")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "author@example.org")
    git(images.parent, "init", "-q", "-b", "main")
    return images.parent


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
