"""Folders travel: push from one platform, pull on another, and only what is wanted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from everloop.datasets.workspace.metafile import metafile_of
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput, NotFound
from tests.conftest import opened as platform_opened
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


@pytest.fixture
def remote(versions: Kept, tmp_path: Path) -> str:
    """A remote in a folder, known to the platform."""
    url = (tmp_path / "remote").as_uri()
    (tmp_path / "remote").mkdir()
    versions.call("remotes.add", {"name": "origin", "url": url})
    return url


@pytest.fixture
def colleague(tmp_path: Path, empty_catalog: Path, clock: SimulatedClock, remote: str) -> Iterator[Kept]:
    """Another platform, which knows the same remote."""
    with platform_opened(tmp_path / "theirs", empty_catalog, clock) as platform:
        theirs = Kept(platform, tmp_path / "their-caches")
        theirs.call("remotes.add", {"name": "origin", "url": remote})
        yield theirs


def cloned(images: Path) -> Path:
    """What a colleague has after cloning the code: the metafile, and no folder."""
    folder = images.parent.with_name("clone") / "images"
    folder.parent.mkdir()
    shutil.copy(metafile_of(images), metafile_of(folder))
    return folder


def test_a_colleague_gets_the_version_that_the_metafile_names(
    opened: Opened, images: Path, remote: str, colleague: Kept
) -> None:
    opened(images).add()
    clone = cloned(images)
    opened(write(images, {"a.txt": "later"})).add()
    opened(images).push()
    Workspace(clone, colleague).pull()
    assert read(clone) == {"a.txt": "one", "b.txt": "two", "deep/er/c.txt": "three"}
    assert Workspace(clone, colleague).status().clean
    Workspace(clone, colleague).checkout("main")
    assert read(clone)["a.txt"] == "later"


def test_a_colleague_s_work_comes_back(opened: Opened, images: Path, remote: str, colleague: Kept) -> None:
    opened(images).add()
    opened(images).push()
    clone = cloned(images)
    Workspace(clone, colleague).pull()
    Workspace(write(clone, {"new.txt": "theirs"}), colleague).add()
    Workspace(clone, colleague).push()
    opened(images).pull()
    opened(images).checkout("main")
    assert read(images)["new.txt"] == "theirs"


def test_without_a_remote_the_way_to_one_is_said(opened: Opened, images: Path) -> None:
    opened(images).add()
    with pytest.raises(InvalidInput, match="everloop remotes add"):
        opened(images).push()


def test_of_several_remotes_one_is_named(opened: Opened, images: Path, remote: str, versions: Kept) -> None:
    versions.call("remotes.add", {"name": "backup", "url": remote})
    opened(images).add()
    with pytest.raises(InvalidInput, match="backup, origin"):
        opened(images).push()
    assert opened(images).push("origin").remote == "origin"


def test_only_a_part_of_a_version_travels(opened: Opened, images: Path, remote: str, colleague: Kept) -> None:
    opened(images).add()
    opened(images).push()
    clone = cloned(images)
    Workspace(clone, colleague).pull(only="deep")
    assert read(clone)["deep/er/c.txt"] == "three"
    assert "a.txt" not in read(clone)


def test_a_platform_that_has_not_pulled_says_so(images: Path, opened: Opened, colleague: Kept) -> None:
    opened(images).add()
    with pytest.raises(Exception, match="everloop data pull"):
        Workspace(images, colleague).status()


def test_a_checkout_of_what_was_not_pulled_says_how_to_pull_it(images: Path, opened: Opened, colleague: Kept) -> None:
    opened(images).add()
    with pytest.raises(NotFound, match="everloop data pull images"):
        Workspace(cloned(images), colleague).checkout()


def test_a_pull_of_another_projects_data_names_the_project(
    opened: Opened, images: Path, remote: str, colleague: Kept
) -> None:
    opened(images).add()
    opened(images).push()
    theirs = colleague._platform
    theirs.call("remotes.add", {"name": "origin", "url": remote}, project="other")
    with pytest.raises(NotFound, match="--project default"):
        theirs.call("remotes.pull", {"name": "origin", "dataset": "images"}, project="other")
