"""Folders under versions, in Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.sdk.platform import Everloop
from tests.datasets.workspace.conftest import read, write
from tests.server.conftest import HERE, client_of


@pytest.fixture
def ever(platform: Platform) -> Everloop:
    """The door in Python."""
    return Everloop(platform)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with two files."""
    return write(tmp_path / "images", {"a.txt": "one", "b.txt": "two"})


def test_a_day_with_a_folder(ever: Everloop, images: Path) -> None:
    assert ever.data.add(images, note="first").version == 1
    write(images, {"a.txt": "changed"})
    assert [change.path for change in ever.data.status(images).changes] == ["a.txt"]
    ever.data.add(str(images))
    assert ever.data.diff(images, "1", "2")[0].state == "modified"
    assert ever.data.checkout(images, "1").written == 1
    assert [snapshot.version for snapshot in ever.data.log(images)] == [2, 1]


def test_branches_and_tags(ever: Everloop, images: Path) -> None:
    ever.data.add(images)
    ever.data.tag(images, "golden")
    ever.data.branch(images, "trial")
    ever.data.add(write(images, {"a.txt": "tried"}))
    ever.data.checkout(images, "main")
    assert ever.data.merge(images, "trial").written == 1
    ever.data.checkout(images, "golden")
    assert read(images)["a.txt"] == "one"


def test_versions_go_out_as_plain_files_and_to_dvc(ever: Everloop, images: Path, tmp_path: Path) -> None:
    ever.data.add(images)
    ever.data.export("images", tmp_path / "plain")
    ever.data.export_dvc("images", tmp_path / "dvc")
    made = ever.data.import_dvc(tmp_path / "dvc", "again")
    assert (read(tmp_path / "plain"), made.files) == (read(images), 2)


def test_folders_travel(ever: Everloop, images: Path, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    ever.remotes.add("origin", (tmp_path / "remote").as_uri())
    ever.data.add(images)
    assert ever.data.push(images).ref.endswith("main")
    assert ever.data.pull(images).written == 0


def test_datasets_of_a_project_are_that_project_s(ever: Everloop, images: Path) -> None:
    ever.in_project("other").data.add(images)
    assert [dataset.name for dataset in ever.in_project("other").datasets.list()] == ["images"]
    assert ever.datasets.list() == []


def test_folders_are_worked_with_at_a_server_as_here(
    platform: Platform, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLOOP_HOME", str(tmp_path / "mine"))
    with client_of(platform) as http:
        ever = Everloop(RemotePlatform(HERE, http=http))  # type: ignore[arg-type]
        assert ever.data.add(images).version == 1
        ever.data.add(write(images, {"a.txt": "changed"}))
        assert ever.data.status(images).clean
        assert ever.data.checkout(images, "1").written == 1
    assert read(images)["a.txt"] == "one"
    assert platform.call("datasets.get", {"name": "images"}).version == 2
