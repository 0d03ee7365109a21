"""What a working copy refuses, and the next step that it names each time. What is refused leaves the folder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.datasets.workspace.metafile import read_metafile, write_metafile
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


@pytest.fixture
def branched(opened: Opened, images: Path) -> Path:
    """A folder of which branch `trial` has another version; it shows main."""
    opened(images).add()
    opened(images).branch("trial")
    write(images, {"a.txt": "tried"})
    opened(images).add()
    opened(images).checkout("main")
    return images


def test_a_branch_is_not_merged_into_itself(opened: Opened, branched: Path) -> None:
    with pytest.raises(InvalidInput, match="images shows main itself") as caught:
        opened(branched).merge("main")
    assert "everloop data checkout images --at main" in caught.value.hint


def test_a_folder_with_changes_is_not_merged_into(opened: Opened, branched: Path) -> None:
    write(branched, {"b.txt": "not in any version"})
    with pytest.raises(Refused, match="has changes") as caught:
        opened(branched).merge("trial")
    assert "everloop data add" in caught.value.hint
    assert read(branched)["b.txt"] == "not in any version"


def test_without_changes_it_shows_the_merge(opened: Opened, branched: Path) -> None:
    opened(branched).merge("trial")
    assert read(branched)["a.txt"] == "tried"
    assert read_metafile(opened(branched).metafile).branch == "main"


def test_a_version_that_this_platform_lacks_is_to_be_pulled(opened: Opened, branched: Path) -> None:
    metafile = opened(branched).metafile
    write_metafile(metafile, msgspec.structs.replace(read_metafile(metafile), commit="0" * 64))
    with pytest.raises(NotFound, match="no version of 'images' with commit 000000000000") as caught:
        opened(branched).tag("v1")
    assert "everloop data pull" in caught.value.hint


def test_a_table_is_not_checked_out(platform: Platform, opened: Opened, tmp_path: Path) -> None:
    digest = platform.resources.store.put(b"a\n1\n")
    platform.call("datasets.commit", {"name": "rows", "digest": digest, "format": "csv"})
    with pytest.raises(InvalidInput, match="rows@1 is a table"):
        opened(tmp_path / "rows").checkout(name="rows")
    assert not (tmp_path / "rows").exists()


def test_branches_are_those_of_the_folder_s_dataset(opened: Opened, branched: Path) -> None:
    assert {branch.name for branch in opened(branched).branches()} == {"main", "trial"}


def test_a_folder_with_the_home_in_it_is_not_added(opened: Opened, versions: Kept, images: Path) -> None:
    versions.home = images / "home"
    with pytest.raises(InvalidInput, match="holds Everloop's own home"):
        opened(images).add()
    assert not opened(images).metafile.exists()
