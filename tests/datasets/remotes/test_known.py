"""Remotes have names in a project, tell of their refs, and are swept without losing what a ref leads to."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from tests.datasets.conftest import PLANES, commit
from tests.datasets.remotes.conftest import FILES, committed, held, linked, pull, push


class TestNames:
    @pytest.mark.parametrize("verb", ["get", "remove", "refs", "gc"])
    def test_a_remote_that_is_not_known_is_not_found(self, ada: Platform, verb: str) -> None:
        with pytest.raises(NotFound, match="There is no remote 'origin'") as missing:
            ada.call(f"remotes.{verb}", {"name": "origin"})
        assert "everloop remotes list" in missing.value.hint

    def test_remotes_are_listed_by_name(self, ada: Platform, folder: str) -> None:
        for name in ("b", "a", "c"):
            ada.call("remotes.add", {"name": name, "url": f"{folder}-{name}"})
        assert [remote.name for remote in ada.call("remotes.list", {})] == ["a", "b", "c"]

    def test_a_name_that_is_taken_says_by_what(self, ada: Platform, folder: str) -> None:
        linked(ada, folder)
        with pytest.raises(Conflict) as refused:
            linked(ada, f"{folder}-other")
        assert folder in refused.value.message
        assert refused.value.hint == "Remove it first, or choose another name."

    def test_a_name_that_was_given_up_can_be_given_anew(self, ada: Platform, folder: str) -> None:
        linked(ada, folder)
        removed = ada.call("remotes.remove", {"name": "origin"})
        assert removed.url == folder
        linked(ada, f"{folder}-other")
        assert ada.call("remotes.get", {"name": "origin"}).url == f"{folder}-other"

    def test_secrets_are_not_kept(self, ada: Platform) -> None:
        with pytest.raises(InvalidInput, match="has token in it"):
            linked(ada, "s3://bucket/x?token=abc")
        assert ada.call("remotes.list", {}) == []


class TestRefs:
    def names(self, platform: Platform, dataset: str = "") -> list[str]:
        return [ref.name for ref in platform.call("remotes.refs", {"name": "origin", "dataset": dataset})]

    def test_are_none_before_the_first_push(self, ada: Platform, folder: str) -> None:
        assert self.names(linked(ada, folder)) == []

    def test_are_those_of_a_dataset_and_not_of_one_whose_name_begins_alike(self, ada: Platform, folder: str) -> None:
        linked(ada, folder)
        for name in ("images", "images2"):
            committed(ada, FILES, name)
            push(ada, dataset=name)
        assert self.names(ada, "images") == ["default/images/main"]
        assert self.names(ada) == ["default/images/main", "default/images2/main"]

    def test_say_who_moved_them_and_what_they_are(self, ada: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        ada.call("datasets.tag", {"name": "images", "tag": "v1", "at": "1"})
        pushed = [push(ada), push(ada, branch="v1")]
        found = ada.call("remotes.refs", {"name": "origin"})
        assert [(ref.kind, ref.commit) for ref in found] == [("branch", pushed[0].commit), ("tag", pushed[1].commit)]
        assert {ref.by for ref in found} == {ada.session().principal}


class TestPulls:
    def test_a_ref_that_is_not_there_names_those_that_are(self, ada: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        with pytest.raises(NotFound) as missing:
            pull(ada, dataset="images")
        assert missing.value.hint == "It has nothing of it."
        push(ada)
        with pytest.raises(NotFound) as missing:
            pull(ada, branch="dev")
        assert missing.value.hint == "It has default/images/main."

    def test_rows_have_no_paths(self, ada: Platform, bob: Platform, folder: str) -> None:
        commit(linked(ada, folder), "planes", PLANES)
        push(ada, dataset="planes")
        with pytest.raises(InvalidInput, match="'planes' is a table"):
            pull(linked(bob, folder), dataset="planes", below="train")

    @pytest.mark.parametrize("below", ["../x", "/train", "a//b", "a\0b"])
    def test_a_path_that_is_none_is_refused_before_anything_travels(
        self, ada: Platform, folder: str, below: str
    ) -> None:
        with pytest.raises(InvalidInput):
            pull(linked(ada, folder), below=below)

    def test_a_single_file_can_be_pulled(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        pulled = pull(linked(bob, folder), below="train/cats/1.jpg")
        assert held(bob, at=str(pulled.version)) == {"train/cats/1.jpg": FILES["train/cats/1.jpg"]}
        assert pulled.branch == "main.train-cats-1.jpg"

    def test_a_file_is_no_folder(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        with pytest.raises(NotFound, match=r"There is no 'labels\.csv/x'"):
            pull(linked(bob, folder), below="labels.csv/x")

    def test_the_same_part_again_is_the_same_version(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        first = pull(linked(bob, folder), below="train/cats")
        again = pull(bob, below="train/cats")
        assert (again.version, again.received.objects) == (first.version, 0)


class TestPushes:
    def test_a_remote_that_can_only_be_read_says_so_before_anything_is_sent(self, ada: Platform, folder: str) -> None:
        import msgspec
        from sqlalchemy import update

        from everloop.datasets.remotes.tables import remotes

        committed(linked(ada, folder), FILES)
        known = ada.call("remotes.get", {"name": "origin"})
        with ada.session().begin() as unit:
            unit.execute(update(remotes).values(probe=msgspec.structs.replace(known.probe, writes=False)))
        with pytest.raises(Refused, match="can only be read"):
            push(ada)

    def test_what_was_lost_cannot_be_pushed(self, ada: Platform, folder: str) -> None:
        lost = commit(linked(ada, folder), "planes", PLANES)
        blobs = ada.resources.store.blobs
        for blob in [blob for blob in blobs.keys("objects/") if blob.key.endswith(lost.digest[2:])]:
            blobs.delete(blob.key)
        with pytest.raises(NotFound, match="The content of planes@1 is not in the store any more"):
            push(ada, dataset="planes")

    def test_nothing_is_sent_twice(self, ada: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        first = push(ada)
        committed(ada, FILES | {"more.txt": b"one more"})
        second = push(ada)
        assert second.before == first.commit
        assert 0 < second.sent.bytes < first.sent.bytes


class TestSweeps:
    def test_what_a_ref_leads_to_stays(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        ada.call("remotes.gc", {"name": "origin", "dry_run": False, "grace": "0s"})
        pull(linked(bob, folder))
        assert held(bob) == FILES

    def test_unless_it_is_told_to_it_only_tells(self, ada: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        report = ada.call("remotes.gc", {"name": "origin"})
        assert report.dry_run
        assert (report.removed, report.freed_bytes) == (0, 0)

    def test_a_grace_that_is_none_is_refused(self, ada: Platform, folder: str) -> None:
        with pytest.raises(InvalidInput, match="'soon' is not a duration"):
            linked(ada, folder).call("remotes.gc", {"name": "origin", "grace": "soon"})
