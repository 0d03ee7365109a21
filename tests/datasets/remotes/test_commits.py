"""The commits behind a commit: each after those that it was made from, with the content that each needs."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.datasets.entities import Layer, Part
from everloop.datasets.history.commits import Commit
from everloop.datasets.remotes.commits import contents, history, roots_at
from everloop.datasets.remotes.entities import Ref
from everloop.datasets.remotes.refs import ClaimedRefs, ConditionalRefs
from everloop.kernel.errors import Corrupted, NotFound
from everloop.store.entities import Digest
from everloop.store.service import Store

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(shared_platform: Platform) -> Store:
    """A store that each test adds to."""
    return shared_platform.resources.store


def written(content: Digest, *parents: Digest, note: str, **fields: object) -> bytes:
    """A commit as bytes."""
    plain = Commit("flights", "files", content, 0, 0, 0, (), parents, (), "main", "ada", note, AT)
    return msgspec.json.encode(msgspec.structs.replace(plain, **fields))


def commit(store: Store, *parents: Digest, note: str = "", digest: Digest | None = None, **fields: object) -> Digest:
    """A commit in the store."""
    content = digest or store.put(f"content of {note}".encode())
    return store.put(written(content, *parents, note=note, **fields))


class TestHistory:
    def test_of_a_first_version_is_itself(self, store: Store) -> None:
        first = commit(store, note="first")
        assert list(history(store, first)) == [first]

    def test_goes_by_way_of_both_sides_of_a_merge(self, store: Store) -> None:
        base = commit(store, note="base")
        left, right = (commit(store, base, note=side) for side in ("left", "right"))
        merge = commit(store, left, right, note="merge")
        found = list(history(store, merge))
        assert (found[0], set(found[1:3]), found[3]) == (base, {left, right}, merge)

    def test_ends_where_something_is_known(self, store: Store) -> None:
        one = commit(store, note="one")
        two = commit(store, one, note="two")
        three = commit(store, two, note="three")
        assert list(history(store, three, {one})) == [two, three]
        assert history(store, three, {three}) == {}

    def test_that_is_long_needs_no_recursion(self, store: Store) -> None:
        newest = commit(store, note="0")
        with store.bulk() as bulk:
            for number in range(1, 1500):
                newest = bulk.put(written(newest, newest, note=str(number)))
        assert [each.note for each in history(store, newest).values()] == [str(n) for n in range(1500)]

    def test_with_a_gap_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            history(store, commit(store, Digest("0" * 64), note="orphan"))

    def test_with_something_else_in_it_is_corrupted(self, store: Store) -> None:
        with pytest.raises(Corrupted, match="is no commit of a dataset"):
            history(store, commit(store, store.put(b"a photo"), note="child"))

    @given(edges=st.lists(st.lists(st.integers(0, 100), max_size=2), min_size=1, max_size=12))
    def test_is_in_an_order_in_which_it_can_be_made_again(self, store: Store, edges: list[list[int]]) -> None:
        made: list[Digest] = []
        for number, parents in enumerate(edges):
            known = dict.fromkeys(made[parent % len(made)] for parent in parents if made)
            made.append(commit(store, *known, note=f"{number}"))
        seen: set[Digest] = set()
        for address, found in history(store, made[-1]).items():
            assert set(found.parents) <= seen
            seen.add(address)
        assert made[-1] in seen


class TestContents:
    def test_are_what_commits_hold_and_not_their_relatives(self, store: Store) -> None:
        source, parent = commit(store, note="source"), commit(store, note="parent")
        child = commit(store, parent, note="child", sources=(source,))
        assert contents(store, [history(store, child)[child]]) == {store.put(b"content of child")}

    def test_that_were_given_up_are_left_out(self, store: Store) -> None:
        gone = commit(store, note="gone", digest=Digest("1" * 64))
        assert contents(store, history(store, gone).values()) == set()

    def test_of_layers_are_all_their_files(self, store: Store) -> None:
        files = [store.put(name.encode()) for name in ("rows", "more rows")]
        layers = tuple(Layer(added=Part(file, 1, 4)) for file in files)
        made = commit(store, note="layers", layers=layers)
        assert set(files) <= contents(store, history(store, made).values())


class TestRoots:
    def point(self, place: Store, name: str, at: Digest) -> None:
        ConditionalRefs(place.blobs).move(Ref(name, at, "ada", AT, name), "")

    def test_are_all_that_any_ref_of_any_project_leads_to(self, platform: Platform) -> None:
        place = platform.resources.store
        one, two = commit(place, note="one"), commit(place, note="two")
        newer = commit(place, one, note="newer")
        self.point(place, "default/flights/main", newer)
        self.point(place, "other/flights/main", two)
        wanted = {one, two, newer, *(place.put(f"content of {name}".encode()) for name in ("one", "two", "newer"))}
        assert roots_at(place) == wanted

    def test_are_none_where_there_is_no_ref(self, platform: Platform) -> None:
        commit(platform.resources.store, note="loose")
        assert roots_at(platform.resources.store) == set()

    def test_are_those_of_old_records_too(self, platform: Platform) -> None:
        from random import Random

        place = platform.resources.store
        first, second = commit(place, note="first"), commit(place, note="second")
        refs = ClaimedRefs(place.blobs, Random(1), pause=lambda _: None)
        refs.move(Ref("p/d/b", first, "ada", AT, "1"), "")
        refs.move(Ref("p/d/b", second, "ada", AT, "2"), first)
        assert {first, second} <= roots_at(place)
