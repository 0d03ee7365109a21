"""Keeping the store: what goes is named, what is needed stays, what is damaged is told with what needs it."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.governance.storekeeping.entities import Dead, GcReport
from everloop.kernel.errors import Corrupted, NotFound, PermissionDenied
from everloop.store.entities import Digest, TreeEntry
from tests.store.aging import age

FILES = {f"{n % 3}/{n}.txt": Random(n).randbytes(400) for n in range(12)}


def committed(platform: Platform, name: str, files: dict[str, bytes]) -> Any:
    store = platform.resources.store
    with store.bulk() as bulk:
        digest = store.put_tree([TreeEntry(path, bulk.put(data), len(data)) for path, data in files.items()], bulk)
    return platform.call("datasets.commit_files", {"name": name, "digest": digest})


def given_up(platform: Platform, name: str) -> None:
    """The first version, whose branch has moved on, loses its content."""
    committed(platform, name, {"rest": b"what is left"})
    platform.call("datasets.purge", {"name": name, "version": 1, "reason": "To see."})


def collected(platform: Platform, **arguments: object) -> GcReport:
    report: GcReport = platform.call("store.gc", {"dry_run": False, "grace": "0s"} | arguments)
    return report


@pytest.fixture
def images(platform: Platform) -> Any:
    return committed(platform, "images", FILES)


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "store"


class TestGc:
    def test_names_what_was_purged_by_what_it_was(self, platform: Platform, images: Any) -> None:
        given_up(platform, "images")
        report = platform.call("store.gc", {"grace": "0s"})
        (dead,) = report.dead
        assert (dead.was, dead.objects) == ("dataset:default/images@1", 16)
        assert dead.examples[0].startswith(("file ", "folder "))
        assert dead.bytes > 0
        assert report.removed == 16

    def test_what_nobody_ever_named_is_told_in_one_line(self, platform: Platform, images: Any) -> None:
        for number in range(5):
            platform.resources.store.put(b"stray %d" % number)
        (dead,) = platform.call("store.gc", {"grace": "0s"}).dead
        assert (dead.was, dead.objects, dead.bytes, dead.waiting) == ("", 5, 35, 0)
        assert len(dead.examples) == 3

    def test_what_two_versions_share_stays_when_one_is_purged(self, platform: Platform, images: Any) -> None:
        committed(platform, "images", FILES | {"0/0.txt": b"new"})
        given_up(platform, "images")
        (dead,) = collected(platform).dead
        assert dead.objects == 3  # One file, its folder, the root.
        assert platform.call("store.fsck", {}).whole

    def test_puts_into_the_trash_first_and_frees_later(self, platform: Platform, folder: Path) -> None:
        stray = platform.resources.store.put(b"stray")
        found = []
        for _ in range(2):
            age(folder)
            report = collected(platform, grace="1d")
            found.append((report.condemned, report.in_trash, report.removed))
        assert found == [(1, 1, 0), (0, 0, 1)]
        assert not platform.resources.store.has(stray)

    def test_is_an_event_and_a_dry_run_is_none(self, platform: Platform) -> None:
        platform.resources.store.put(b"stray")
        platform.call("store.gc", {"grace": "0s"})
        collected(platform)
        (entry,) = platform.call("audit.entries", {"kind": "store.swept"})
        assert (entry.event["removed"], entry.event["freed_bytes"]) == (1, 5)

    def test_is_for_owners(self, platform: Platform) -> None:
        for name in ("store.gc", "store.undelete", "store.fsck", "store.verify"):
            with pytest.raises(PermissionDenied):
                platform.call(name, {}, principal=Principal("bob", ("deployer",)))

    def test_frees_nothing_while_a_ref_leads_to_what_is_missing(self, platform: Platform, images: Any) -> None:
        ref = b'{"name":"default/images/main","commit":"%s","by":"ann","at":"2026-01-01T00:00:00Z","id":"1"}'
        platform.resources.store.blobs.swap("refs/default/images/main", ref % (b"ab" * 32), None)
        stray = platform.resources.store.put(b"stray")
        with pytest.raises(Corrupted, match="ref"):
            collected(platform)
        assert platform.resources.store.has(stray)


class TestTrash:
    def test_what_is_undeleted_can_be_committed_again(self, platform: Platform, images: Any, folder: Path) -> None:
        given_up(platform, "images")
        age(folder)
        collected(platform, grace="1d")
        (found,) = platform.call("store.trash", {})
        assert found.objects == 16
        assert platform.call("store.undelete", {"stamp": found.stamp}).objects == found.objects
        again = platform.call("datasets.commit_files", {"name": "images", "digest": images.digest})
        assert collected(platform).dead == ()
        assert platform.call("store.verify", {"reference": f"images@{again.version}"}).whole

    def test_undeleting_is_an_event(self, platform: Platform, folder: Path) -> None:
        platform.resources.store.put(b"stray")
        age(folder)
        collected(platform, grace="1d")
        platform.call("store.undelete", {})
        (entry,) = platform.call("audit.entries", {"kind": "store.undeleted"})
        assert entry.event["objects"] == 1

    def test_a_bin_that_is_not_there_is_not_found(self, platform: Platform) -> None:
        with pytest.raises(NotFound, match="never"):
            platform.call("store.undelete", {"stamp": "never"})


class TestFsck:
    def test_a_whole_store_is_whole(self, platform: Platform, images: Any) -> None:
        report = platform.call("store.fsck", {})
        assert (report.whole, report.faults, report.packs, report.missing) == (True, (), 2, 0)

    def test_missing_parts_are_told_with_the_versions_that_need_them(
        self, platform: Platform, images: Any, folder: Path
    ) -> None:
        max(folder.glob("packs/*/*"), key=lambda pack: pack.stat().st_size).unlink()
        report = platform.call("store.fsck", {"rebuild": True})
        assert not report.whole
        assert report.missing == 12
        assert {fault.needed_by for fault in report.faults} == {("dataset:default/images@1",)}

    def test_a_version_whose_root_is_gone_dangles(self, platform: Platform, images: Any, folder: Path) -> None:
        for pack in folder.glob("packs/*/*"):
            pack.unlink()
        faults = platform.call("store.fsck", {"rebuild": True}).faults
        found = {fault.digest: fault.needed_by for fault in faults if fault.kind == "dangling"}
        assert found[images.digest] == ("dataset:default/images@1",)

    def test_a_version_that_was_purged_does_not_dangle(self, platform: Platform, images: Any) -> None:
        given_up(platform, "images")
        collected(platform)
        assert platform.call("store.fsck", {}).whole

    def test_a_torn_pack_is_told(self, platform: Platform, images: Any, folder: Path) -> None:
        pack = max(folder.glob("packs/*/*"), key=lambda pack: pack.stat().st_size)
        os.truncate(pack, 100)
        kinds = {fault.kind for fault in platform.call("store.fsck", {"rebuild": True}).faults}
        assert kinds == {"torn pack", "missing part"}

    def test_what_a_killed_writer_left_is_no_damage(self, platform: Platform) -> None:
        store = platform.resources.store
        store.put_tree([TreeEntry("a", Digest("ab" * 32), 1)])
        report = platform.call("store.fsck", {})
        assert (report.whole, len(report.faults)) == (True, 1)


class TestVerify:
    def test_damage_is_named_and_what_is_whole_is_read(self, platform: Platform, images: Any, folder: Path) -> None:
        assert platform.call("store.verify", {}).whole
        pack = max(folder.glob("packs/*/*"), key=lambda pack: pack.stat().st_size)
        data = bytearray(pack.read_bytes())
        data[20] ^= 1
        pack.write_bytes(data)
        report = platform.call("store.verify", {})
        assert (report.whole, len(report.damaged)) == (False, 1)
        with pytest.raises(Corrupted):
            platform.resources.store.get(report.damaged[0].digest)

    @pytest.mark.parametrize("reference", ["images@1", "images", "dataset:default/images@1"])
    def test_one_version_is_read_with_all_below_it(self, platform: Platform, images: Any, reference: str) -> None:
        platform.resources.store.put(b"of nobody")
        assert platform.call("store.verify", {"reference": reference}).objects == 17

    def test_an_address_stands_for_itself(self, platform: Platform, images: Any) -> None:
        assert platform.call("store.verify", {"reference": images.digest}).objects == 16

    def test_a_urn_of_nothing_is_not_found(self, platform: Platform) -> None:
        with pytest.raises(NotFound, match="model:default/ghost@1"):
            platform.call("store.verify", {"reference": "model:default/ghost@1"})


class TestRepair:
    @pytest.mark.parametrize("torn", [True, False])
    def test_what_is_lost_is_fetched_folder_by_folder(
        self, platform: Platform, images: Any, folder: Path, tmp_path: Path, torn: bool
    ) -> None:
        platform.call("remotes.add", {"name": "origin", "url": (tmp_path / "origin").as_uri()})
        platform.call("remotes.push", {"name": "origin", "dataset": "images"})
        for pack in folder.glob("packs/*/*"):
            if torn:
                os.truncate(pack, 40)
            else:
                pack.unlink()
        assert not platform.call("store.fsck", {"rebuild": True}).whole
        repaired = platform.call("store.repair", {"remote": "origin"})
        assert (len(repaired.mended) > 15, repaired.lost) == (True, ())
        assert platform.call("store.fsck", {}).faults == ()
        assert platform.call("store.verify", {}).whole


def test_groups_are_told_the_largest_first(platform: Platform) -> None:
    for name, size in (("small", 10), ("large", 1_000)):
        committed(platform, name, {"a": b"x" * size + name.encode()})
        given_up(platform, name)
    found: tuple[Dead, ...] = platform.call("store.gc", {"grace": "0s"}).dead
    assert [each.was for each in found] == ["dataset:default/large@1", "dataset:default/small@1"]
