"""Garbage collection: what is referred to stays, what is not goes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, String, Table, Text

from everloop.app.platform import Platform
from everloop.catalog.schema import Encoded, metadata
from everloop.datasets.quality.expectations import RowCount
from everloop.governance import retention
from everloop.governance.tables import tokens
from everloop.kernel.errors import InvalidInput, Refused
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import Store
from tests.examples import examples

COLUMNS = ("short", "long", "encoded")


@pytest.fixture
def referring(platform: Platform) -> object:
    """A table as an area may add one: nothing in it is marked."""
    table = Table(
        "referring",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("short", String(64)),
        Column("long", Text),
        Column("encoded", Encoded(dict[str, list[str]])),
    )
    table.create(platform.resources.database.engine)
    yield table
    metadata.remove(table)


def refer(platform: Platform, table: Table, column: str, digest: str) -> None:
    value: object = {"short": digest, "long": f"see {digest}.", "encoded": {"parts": [digest]}}[column]
    with platform.session().begin() as unit:
        unit.insert(table, {column: value})


def collect(platform: Platform, **arguments: object) -> object:
    return platform.call("store.gc", {"dry_run": False, "grace": "0s"} | arguments)


@pytest.mark.parametrize("column", COLUMNS)
def test_bytes_that_any_text_refers_to_stay(platform: Platform, referring: Table, column: str) -> None:
    store = platform.resources.store
    kept, lost = store.put(b"kept"), store.put(b"lost")
    refer(platform, referring, column, kept)
    report = platform.call("store.gc", {"dry_run": False, "grace": "0s"})
    assert (store.has(kept), store.has(lost)) == (True, False)
    assert (report.kept, report.removed, report.freed_bytes) == (1, 1, 4)


def test_a_dry_run_tells_and_frees_nothing(platform: Platform) -> None:
    store = platform.resources.store
    lost = store.put(b"lost")
    report = platform.call("store.gc", {"grace": "0s"})
    assert (report.removed, report.dry_run, store.has(lost)) == (1, True, True)
    assert platform.call("audit.entries", {"kind": "store.swept"}) == []


def test_by_default_nothing_is_freed(platform: Platform) -> None:
    lost = platform.resources.store.put(b"lost")
    platform.call("store.gc", {})
    assert platform.resources.store.has(lost)


def test_what_was_put_lately_is_spared(platform: Platform) -> None:
    fresh = platform.resources.store.put(b"a step is about to record this")
    assert platform.call("store.gc", {"dry_run": False, "grace": "1h"}).removed == 0
    assert platform.resources.store.has(fresh)


def test_the_files_of_a_tree_stay_with_it(platform: Platform, referring: Table) -> None:
    store = platform.resources.store
    small, large = b"small", Random(3).randbytes(3 << 20)
    entries = [TreeEntry(str(len(data)), store.put(data), len(data)) for data in (small, large)]
    tree = store.put_tree(entries)
    refer(platform, referring, "short", tree)
    collect(platform)
    assert [store.get(entry.digest) for entry in store.tree(tree)] == [large, small]


def test_a_tree_in_many_pieces_keeps_its_files(platform: Platform, referring: Table) -> None:
    store = platform.resources.store
    one = store.put(b"the one file")
    tree = store.put_tree([TreeEntry(f"{'x' * 200}{number}", one, 12) for number in range(4000)])
    refer(platform, referring, "short", tree)
    collect(platform)
    assert store.get(one) == b"the one file"


def test_the_ledger_and_hashes_of_tokens_keep_nothing(platform: Platform) -> None:
    with platform.session().begin(write=False) as unit:
        assert retention.roots(unit) == set()
    platform.call("governance.grant", {"principal": "ann", "roles": ["reader"]})
    platform.call("tokens.create", {"principal": "ann"})
    with platform.session().begin(write=False) as unit:
        assert unit.scalars(tokens.select()) != []
        assert retention.roots(unit) == set()


def test_what_is_known_of_a_table_keeps_no_table(platform: Platform) -> None:
    with platform.session().begin(write=False) as unit:
        before = retention.roots(unit)
    put = platform.resources.store.put(b"flight,origin\n1,JFK\n")
    arguments = {"name": "flights", "digest": put, "format": "csv", "evolve": "any"}
    declared = [{"dataset": "flights", "expectations": [RowCount(100)], "gates": ["commit"]}]
    platform.call("datasets.apply_suites", {"declared": declared})
    with pytest.raises(Refused):
        platform.call("datasets.commit", arguments)
    with platform.session().begin(write=False) as unit:
        assert retention.roots(unit) == before


def test_a_collection_is_an_event(platform: Platform) -> None:
    platform.resources.store.put(b"lost")
    collect(platform)
    (entry,) = platform.call("audit.entries", {"kind": "store.swept"})
    assert (entry.event["removed"], entry.event["freed_bytes"]) == (1, 4)


def test_a_grace_that_is_no_span_changes_nothing(platform: Platform) -> None:
    lost = platform.resources.store.put(b"lost")
    with pytest.raises(InvalidInput, match="soon"):
        collect(platform, grace="soon")
    assert platform.resources.store.has(lost)


content = st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=6, unique=True)


@given(objects=content, data=st.data())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_referred_to_can_be_had_and_the_rest_is_gone(
    platform: Platform, referring: Table, objects: list[bytes], data: st.DataObject
) -> None:
    store = platform.resources.store
    digests = [store.put(b"object " + item) for item in objects]
    trees = [_tree(store, data.draw(st.lists(st.sampled_from(digests), unique=True, min_size=1))) for _ in range(2)]
    roots = data.draw(st.lists(st.sampled_from(digests + trees), unique=True))
    with platform.session().begin() as unit:
        unit.execute(referring.delete())
    for root in roots:
        refer(platform, referring, data.draw(st.sampled_from(COLUMNS)), root)
    wanted = set(roots)
    for tree in set(trees) & wanted:
        wanted |= {entry.digest for entry in store.tree(tree)}
    collect(platform)
    assert {digest for digest in [*digests, *trees] if store.has(digest)} == wanted
    assert all(store.get(digest) for digest in wanted)


def _tree(store: Store, digests: list[Digest]) -> Digest:
    return store.put_tree([TreeEntry(f"file-{number}", digest, 1) for number, digest in enumerate(digests)])
