"""`everloop data …` with a server: what is kept is kept there, and only what it lacks travels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.cli.door import Door
from tests.cli.conftest import Everloop, caller
from tests.datasets.workspace.conftest import read, write
from tests.server.conftest import HERE, client_of


@pytest.fixture
def remotely(
    platform: Platform, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Everloop]:
    """`everloop(*words)` that talks to a server, in a folder with a folder of data in it."""
    write(tmp_path / "work", {f"images/{n}.txt": f"picture {n}" for n in range(30)})
    monkeypatch.chdir(tmp_path / "work")
    with client_of(platform) as http:
        yield caller(lambda: Door(RemotePlatform(HERE, http=http)), capsys)


def test_a_folder_is_added_to_a_server_and_had_back(remotely: Everloop, platform: Platform, tmp_path: Path) -> None:
    images = tmp_path / "work/images"
    before = read(images)
    assert "images@1: 30 files" in remotely("data", "add", "images").out
    assert platform.call("datasets.get", {"name": "images"}).files == 30
    (images / "3.txt").write_text("another")
    assert remotely("data", "add", "images", "--json").json["version"] == 2
    shutil.rmtree(images)
    assert remotely("data", "checkout", "images", "--at", "1").code == 0
    assert read(images) == before
