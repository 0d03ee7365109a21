"""Files that several folders share: one for each content and mode, verified before it is shared again."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from everloop.backends.blobs.folder import FolderBlobs
from everloop.datasets.workspace import linking
from everloop.datasets.workspace.entities import LinkMode
from everloop.datasets.workspace.linking import Links
from everloop.kernel.errors import NotFound, Refused
from everloop.store.entities import Digest, Kind, TreeEntry
from everloop.store.service import Store

DATA = b"a cat" * 100


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(FolderBlobs(tmp_path / "store"))


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def entry(store: Store, kind: Kind = "file", data: bytes = DATA) -> TreeEntry:
    return TreeEntry("cat.jpg", store.put(data), len(data), kind)


def unable(code: int) -> object:
    def fails(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fails


class TestHardLinks:
    def test_of_one_content_are_one_file(self, store: Store, shared: Path, tmp_path: Path) -> None:
        links = Links(store, shared, "hardlink")
        for name in ("one", "two"):
            links.put(entry(store), tmp_path / name)
        assert (tmp_path / "one").samefile(tmp_path / "two")
        assert (tmp_path / "one").read_bytes() == DATA

    def test_of_two_modes_are_two(self, store: Store, shared: Path, tmp_path: Path) -> None:
        links = Links(store, shared, "hardlink")
        links.put(entry(store), tmp_path / "plain")
        links.put(entry(store, "executable"), tmp_path / "runs")
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "runs")]
        assert modes == [0o444, 0o555]

    def test_to_what_somebody_wrote_to_are_not_made(self, store: Store, shared: Path, tmp_path: Path) -> None:
        links = Links(store, shared, "hardlink")
        links.put(entry(store), tmp_path / "one")
        (tmp_path / "one").chmod(0o644)
        (tmp_path / "one").write_bytes(b"spoilt")
        links.put(entry(store), tmp_path / "two")
        assert (tmp_path / "two").read_bytes() == DATA
        assert (tmp_path / "one").read_bytes() == b"spoilt"

    def test_the_folder_of_shared_files_may_go_at_any_time(self, store: Store, shared: Path, tmp_path: Path) -> None:
        import shutil

        links = Links(store, shared, "hardlink")
        links.put(entry(store), tmp_path / "one")
        shutil.rmtree(shared)
        links.put(entry(store), tmp_path / "two")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == DATA

    def test_of_what_is_not_in_the_store_are_not_made(self, store: Store, shared: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            Links(store, shared, "hardlink").put(TreeEntry("x", Digest("1" * 64), 1), tmp_path / "x")
        assert not (tmp_path / "x").exists()


class TestCopies:
    def test_may_be_written_to(self, store: Store, shared: Path, tmp_path: Path) -> None:
        links = Links(store, shared, "copy")
        links.put(entry(store), tmp_path / "one")
        (tmp_path / "one").write_bytes(b"mine now")
        links.put(entry(store), tmp_path / "two")
        assert (tmp_path / "two").read_bytes() == DATA

    def test_can_be_run_where_the_version_s_can(self, store: Store, shared: Path, tmp_path: Path) -> None:
        links = Links(store, shared, "copy")
        links.put(entry(store), tmp_path / "plain")
        links.put(entry(store, "executable"), tmp_path / "runs")
        assert [bool((tmp_path / name).stat().st_mode & stat.S_IXUSR) for name in ("plain", "runs")] == [False, True]


class TestWays:
    @pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.EPERM, errno.EMLINK])
    def test_auto_goes_on_to_what_works_and_stays_there(
        self, store: Store, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        asked: list[str] = []

        def only_copies(way: LinkMode, source: Path, target: Path) -> None:
            asked.append(way)
            if way != "copy":
                raise OSError(code, os.strerror(code))

        monkeypatch.setattr(linking, "_make", only_copies)
        links = Links(store, shared, "auto")
        for name in ("one", "two"):
            links.put(entry(store), tmp_path / name)
        assert asked == ["reflink", "hardlink", "copy", "copy"]

    @pytest.mark.parametrize("mode", ["hardlink", "reflink"])
    def test_one_that_was_asked_for_is_not_replaced_in_silence(
        self, store: Store, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: LinkMode
    ) -> None:
        monkeypatch.setattr(linking, "_make", unable(errno.EXDEV))
        with pytest.raises(Refused, match=f"cannot have files by {mode}") as refused:
            Links(store, shared, mode).put(entry(store), tmp_path / "one")
        assert refused.value.hint == "Use --link copy, or --link auto, which takes what there is."

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
    def test_what_would_fail_any_way_is_not_tried_otherwise(
        self, store: Store, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        monkeypatch.setattr(linking, "_make", unable(code))
        with pytest.raises(OSError, match=os.strerror(code)):
            Links(store, shared, "auto").put(entry(store), tmp_path / "one")

    def test_a_clone_that_cannot_be_made_leaves_no_empty_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "source").write_bytes(DATA)
        monkeypatch.setattr(linking.fcntl, "ioctl", unable(errno.EOPNOTSUPP))
        with pytest.raises(OSError, match="not supported"):
            linking._clone(tmp_path / "source", tmp_path / "target")
        assert not (tmp_path / "target").exists()
