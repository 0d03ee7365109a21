"""Remotes: places that versions are pushed to and pulled from, whatever server is behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.datasets.remotes.reach import Reach
from everloop.governance.entities import Principal
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied, Refused, Unavailable
from everloop.store.service import Store
from tests.datasets.conftest import FLIGHTS, commit
from tests.datasets.remotes.conftest import FILES, committed, held, linked, pull, push


class TestAdd:
    def test_a_place_is_tried_before_it_gets_a_name(self, ada: Platform, place: str) -> None:
        remote = ada.call("remotes.add", {"name": "origin", "url": place})
        assert remote.probe.writes
        assert remote.refs == ("conditional" if remote.probe.conditional else "claims")
        assert ada.call("remotes.list", {}) == [remote]
        assert ada.call("remotes.get", {"name": "origin"}) == remote

    def test_a_place_that_is_not_there_gets_none(self, ada: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        with pytest.raises(Unavailable):
            ada.call(
                "remotes.add", {"name": "origin", "url": "s3://b/p?endpoint=http://127.0.0.1:9&retries=0&timeout=1"}
            )
        assert ada.call("remotes.list", {}) == []

    @pytest.mark.parametrize("url", ["ftp://host/path", "nothing", ""])
    def test_what_is_no_place_is_refused(self, ada: Platform, url: str) -> None:
        with pytest.raises(InvalidInput):
            ada.call("remotes.add", {"name": "origin", "url": url})

    def test_a_name_is_not_given_to_another_place(self, ada: Platform, folder: str) -> None:
        linked(ada, folder)
        with pytest.raises(Conflict, match="origin"):
            ada.call("remotes.add", {"name": "origin", "url": f"{folder}-2"})

    def test_adding_again_tries_again(self, ada: Platform, folder: str) -> None:
        linked(linked(ada, folder), folder)
        assert len(ada.call("remotes.list", {})) == 1

    def test_a_forgotten_remote_keeps_what_it_has(self, ada: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        ada.call("remotes.remove", {"name": "origin"})
        with pytest.raises(NotFound, match="origin"):
            push(ada)
        linked(ada, folder)
        assert len(ada.call("remotes.refs", {"name": "origin"})) == 1

    def test_the_ledger_does_not_tell_a_url_s_options(self, ada: Platform, folder: str) -> None:
        linked(ada, folder)
        entry = ada.call("audit.entries", {"kind": "remotes.added"})[0]
        assert entry.event["url"] == folder

    def test_on_a_server_only_owners_may_and_not_into_its_own_network(self, ada: Platform, folder: str) -> None:
        ada.resources.ports.provide(Reach, lambda: Reach(private=False))
        with pytest.raises(PermissionDenied, match="folders"):
            ada.call("remotes.add", {"name": "origin", "url": folder})
        arguments = {"name": "origin", "url": folder}
        with pytest.raises(PermissionDenied, match="may not remotes:manage"):
            ada.call("remotes.add", arguments, principal=Principal("eve", ("contributor",)))


class TestPushAndPull:
    def test_what_was_pushed_can_be_pulled_elsewhere(self, ada: Platform, bob: Platform, place: str) -> None:
        committed(linked(ada, place), FILES)
        committed(ada, FILES | {"labels.csv": b"1,dog\n"})
        pushed = push(ada)
        pulled = pull(linked(bob, place))
        assert held(bob) == held(ada)
        assert held(bob, at="1") == FILES
        assert pulled.versions == (1, 2)
        assert pulled.commit == pushed.commit
        assert [each.note for each in bob.call("datasets.log", {"name": "images"})] == ["", ""]

    def test_a_table_can_be_read_where_it_was_pulled(self, ada: Platform, bob: Platform, place: str) -> None:
        commit(linked(ada, place), "flights", FLIGHTS, note="a first look")
        push(ada, dataset="flights")
        pull(linked(bob, place), dataset="flights")
        for usecase in ("datasets.preview", "datasets.profile"):
            assert bob.call(usecase, {"name": "flights"}) == ada.call(usecase, {"name": "flights"})
        assert bob.call("datasets.get", {"name": "flights"}).note == "a first look"

    def test_pushing_and_pulling_again_moves_nothing(self, ada: Platform, bob: Platform, place: str) -> None:
        committed(linked(ada, place), FILES)
        push(ada)
        pull(linked(bob, place))
        assert push(ada).sent.objects == 0
        again = pull(bob)
        assert (again.received.objects, again.versions) == (0, ())
        assert push(bob).sent.objects == 0

    def test_a_branch_goes_back_and_forth(self, ada: Platform, bob: Platform, place: str) -> None:
        committed(linked(ada, place), FILES)
        push(ada)
        pull(linked(bob, place))
        committed(bob, FILES | {"new": b"from bob"})
        push(bob)
        pulled = pull(ada)
        assert pulled.branch == "main"
        assert held(ada)["new"] == b"from bob"
        assert pulled.received.objects <= 4

    def test_a_push_that_is_behind_is_refused_until_it_is_merged(
        self, ada: Platform, bob: Platform, place: str
    ) -> None:
        committed(linked(ada, place), FILES)
        push(ada)
        pull(linked(bob, place))
        committed(ada, FILES | {"a": b"from ada"})
        push(ada)
        committed(bob, FILES | {"b": b"from bob"})
        with pytest.raises(Conflict, match="was not made from") as caught:
            push(bob)
        assert "remotes pull origin images" in caught.value.hint
        assert pull(bob).branch == "origin.main"
        assert "a" not in held(bob)
        bob.call("datasets.merge", {"name": "images", "branch": "origin.main"})
        push(bob)
        pull(ada)
        assert held(ada) == FILES | {"a": b"from ada", "b": b"from bob"}

    def test_tags_travel_and_do_not_move(self, ada: Platform, bob: Platform, place: str) -> None:
        committed(linked(ada, place), FILES)
        ada.call("datasets.tag", {"name": "images", "tag": "v1"})
        push(ada, "v1")
        pull(linked(bob, place), "v1")
        assert [each.name for each in bob.call("datasets.tags", {"name": "images"})] == ["v1"]
        committed(ada, {"other": b"1"})
        ada.call("datasets.tag", {"name": "images", "tag": "v1", "force": True})
        with pytest.raises(Conflict, match="Tags do not move"):
            push(ada, "v1")

    def test_a_branch_that_was_never_pushed_is_not_found(self, ada: Platform, bob: Platform, place: str) -> None:
        committed(linked(ada, place), FILES)
        push(ada)
        with pytest.raises(NotFound, match="default/images/next") as caught:
            pull(linked(bob, place), "next")
        assert "default/images/main" in caught.value.hint
        with pytest.raises(NotFound):
            push(ada, "next")

    def test_only_what_is_below_a_path_is_pulled(self, ada: Platform, bob: Platform, place: str) -> None:
        committed(linked(ada, place), FILES)
        push(ada)
        pulled = pull(linked(bob, place), below="train/cats")
        assert pulled.branch == "main.train-cats"
        assert held(bob, at="main.train-cats") == {"train/cats/1.jpg": FILES["train/cats/1.jpg"]}
        assert pulled.received.objects == 2
        assert pull(bob, below="train/cats").version == pulled.version
        assert pull(bob).received.objects > 2
        assert held(bob) == FILES

    def test_a_path_that_is_not_there_is_said(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        linked(bob, folder)
        with pytest.raises(NotFound, match="train/birds"):
            pull(bob, below="train/birds")
        with pytest.raises(InvalidInput):
            pull(bob, below="../train")
        commit(ada, "flights", FLIGHTS)
        push(ada, dataset="flights")
        with pytest.raises(InvalidInput, match="is a table"):
            pull(bob, dataset="flights", below="train")

    def test_two_projects_in_one_place_do_not_meet(self, ada: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        ada.call("remotes.add", {"name": "origin", "url": folder}, project="other")
        assert ada.call("remotes.refs", {"name": "origin"}, project="other") == []

    def test_pushes_and_pulls_are_in_the_ledger(self, ada: Platform, bob: Platform, folder: str) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        pull(linked(bob, folder))
        for platform, kind in ((ada, "remotes.pushed"), (bob, "remotes.pulled")):
            (entry,) = platform.call("audit.entries", {"kind": kind})
            assert entry.subject == "dataset:default/images@1"

    def test_a_remote_that_can_only_be_read_is_pulled_from_and_not_pushed_to(
        self, ada: Platform, bob: Platform, folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        committed(linked(ada, folder), FILES)
        push(ada)
        from everloop.backends.blobs.folder import FolderBlobs

        def forbidden(*_: object) -> None:
            raise PermissionDenied("No.")

        with monkeypatch.context() as patch:
            patch.setattr(FolderBlobs, "put", forbidden)
            assert not linked(bob, folder).call("remotes.get", {"name": "origin"}).probe.writes
        pull(bob)
        committed(bob, {"x": b"1"})
        with pytest.raises(Refused, match="only be read"):
            push(bob)


def test_a_history_that_would_write_into_other_datasets_is_refused(ada: Platform, bob: Platform, folder: str) -> None:
    committed(linked(ada, folder), FILES)
    push(ada)
    store = Store(_blobs(ada, folder))
    key = "refs/default/innocent/main"
    store.blobs.swap(key, store.blobs.get("refs/default/images/main"), None)
    with pytest.raises(Refused, match="of dataset 'images'"):
        pull(linked(bob, folder), dataset="innocent")
    assert bob.call("datasets.list", {}) == []


def test_two_who_push_at_once_do_not_overwrite_each_other(ada: Platform, bob: Platform, place: str) -> None:
    """The second reads the ref before the first moves it, and moves it afterwards."""
    committed(linked(ada, place), FILES)
    push(ada)
    pull(linked(bob, place))
    committed(ada, FILES | {"a": b"1"})
    committed(bob, FILES | {"b": b"2"})
    store = bob.resources.store
    missing = type(store).missing

    def slow(self: Store, digests: object) -> object:
        if self is store and "a" not in done:
            done.append("a")
            push(ada)
        return missing(self, digests)  # type: ignore[arg-type]

    done: list[str] = []
    type(store).missing = slow  # type: ignore[assignment]
    try:
        with pytest.raises(Conflict, match="meanwhile"):
            push(bob)
    finally:
        type(store).missing = missing  # type: ignore[method-assign]
    assert done


def _blobs(platform: Platform, url: str) -> object:
    from everloop.datasets.remotes.places import Places

    return platform.resources.ports.get(Places).blobs(url)


def test_our_own_store_is_not_collected_as_a_remote(ada: Platform, tmp_path: Path) -> None:
    snapshot = commit(ada, "flights", FLIGHTS)
    ada.call("remotes.add", {"name": "mine", "url": f"{(tmp_path / 'ada').as_uri()}//store/"})
    with pytest.raises(Refused, match="platform itself"):
        ada.call("remotes.gc", {"name": "mine", "dry_run": False, "grace": "0s"})
    assert ada.resources.store.has(snapshot.digest)
