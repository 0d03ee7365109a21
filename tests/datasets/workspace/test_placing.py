"""Writing files: by copy, link or clone; whole or not at all; and going on where a killed checkout was."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.datasets.workspace import linking
from everloop.datasets.workspace.scan import scan
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import Refused
from tests.datasets.workspace.conftest import Kept, read, write

Opened = Callable[[Path], Workspace]


@pytest.fixture
def lost(opened: Opened, images: Path) -> Path:
    """A folder that was added and then removed."""
    (write(images, {"run.sh": "#!"}) / "run.sh").chmod(0o755)
    opened(images).add()
    shutil.rmtree(images)
    return images


def test_hard_links_share_one_read_only_file(opened: Opened, lost: Path) -> None:
    opened(lost).checkout(link="hardlink")
    other = lost.with_name("other")
    opened(other).checkout(name="images", link="hardlink")
    mine, theirs = (folder / "a.txt" for folder in (lost, other))
    assert mine.samefile(theirs)
    assert not mine.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    assert (lost / "run.sh").stat().st_mode & stat.S_IXUSR


def test_a_folder_whose_files_got_further_links_is_still_clean(opened: Opened, lost: Path) -> None:
    opened(lost).checkout(link="hardlink")
    time.sleep(0.05)
    opened(lost).status()
    opened(lost.with_name("other")).checkout(name="images", link="hardlink")
    assert opened(lost).status().clean
    assert [seen.path for seen in scan(lost, opened(lost).index).touched] == []


def test_a_shared_file_that_somebody_wrote_to_is_not_linked_again(opened: Opened, lost: Path) -> None:
    opened(lost).checkout(link="hardlink")
    (lost / "a.txt").chmod(0o644)
    (lost / "a.txt").write_text("hurt")
    opened(lost.with_name("other")).checkout(name="images", link="hardlink")
    assert read(lost.with_name("other"))["a.txt"] == "one"


def test_a_linked_file_is_replaced_and_not_written_to(opened: Opened, lost: Path) -> None:
    opened(lost).checkout(link="hardlink")
    other = lost.with_name("other")
    opened(other).checkout(name="images", link="hardlink")
    (other / "a.txt").unlink()
    opened(write(other, {"a.txt": "new"})).add()
    opened(lost).checkout("2")
    opened(other).checkout("1", link="hardlink")
    assert (read(lost)["a.txt"], read(other)["a.txt"]) == ("new", "one")


def test_where_files_cannot_be_cloned_it_is_said(opened: Opened, lost: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "_clone", unsupported)
    with pytest.raises(Refused, match=r"--link auto"):
        opened(lost).checkout(link="reflink")


def test_auto_takes_what_there_is(opened: Opened, lost: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linking, "_clone", unsupported)
    opened(lost).checkout(link="auto")
    assert (lost / "a.txt").stat().st_nlink == 2
    monkeypatch.setattr(os, "link", unsupported)
    other = lost.with_name("other")
    opened(other).checkout(name="images", link="auto")
    assert (other / "a.txt").stat().st_nlink == 1
    assert (other / "a.txt").stat().st_mode & stat.S_IWUSR


def unsupported(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def test_large_files_are_written_like_small_ones(opened: Opened, images: Path) -> None:
    data = os.urandom(2_500_000)
    (write(images, {"large.bin": data}) / "large.bin").chmod(0o755)
    opened(images).add()
    shutil.rmtree(images)
    opened(images).checkout()
    assert (images / "large.bin").read_bytes() == data
    assert (images / "large.bin").stat().st_mode & stat.S_IXUSR
    assert opened(images).status().clean


def test_an_unfinished_checkout_is_gone_on_with(opened: Opened, lost: Path) -> None:
    left = write(lost.with_name(".everloop-new-images"), {"a.txt": "one", "b.txt": "tw", "stale.txt": "other version"})
    kept = (left / "a.txt").stat().st_ino
    opened(lost).checkout()
    assert (lost / "a.txt").stat().st_ino == kept
    assert read(lost) == {"a.txt": "one", "b.txt": "two", "deep/er/c.txt": "three", "run.sh": "#!"}
    assert not left.exists()


def test_the_umask_counts(opened: Opened, lost: Path) -> None:
    before = os.umask(0o077)
    try:
        opened(lost).checkout()
    finally:
        os.umask(before)
    assert stat.S_IMODE((lost / "a.txt").stat().st_mode) == 0o600
    assert stat.S_IMODE((lost / "run.sh").stat().st_mode) == 0o700


def test_a_folder_that_is_a_link_to_another_disk_is_worked_in(
    opened: Opened, images: Path, tmp_path: Path, versions: Kept
) -> None:
    images.rename(tmp_path / "disk")
    images.symlink_to(tmp_path / "disk")
    opened(images).add()
    (images / "a.txt").unlink()
    opened(images).checkout()
    assert images.is_symlink()
    assert read(tmp_path / "disk")["a.txt"] == "one"


def test_folders_that_are_empty_now_are_removed(opened: Opened, images: Path) -> None:
    opened(images).add()
    opened(write(images, {"x/y/z.txt": "deep"})).add()
    opened(images).checkout("1")
    assert not (images / "x").exists()
