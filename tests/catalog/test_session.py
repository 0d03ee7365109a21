"""A unit of work: all of it, or nothing."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import create_engine, func, insert, select, update

from everloop.app.platform import Platform
from everloop.catalog.entities import LineageEdge
from everloop.catalog.lineage import link
from everloop.catalog.session import Session, active_session
from everloop.catalog.tables import answered, ledger, lineage
from everloop.datasets.entities import Dataset
from everloop.datasets.tables import datasets
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from everloop.kernel.ids import parse_urn
from tests.catalog.events import Noted


class Stop(Exception):
    """Raised by tests in the middle of their work."""


def answer(key: str) -> dict[str, object]:
    return {"key": key, "principal": "me", "usecase": "x", "request": "r", "answer": "{}"}


def rows(session: Session) -> tuple[int, int, int]:
    """How many answers, ledger entries and lineage edges there are."""
    with session.begin(write=False) as unit:
        counts = [unit.scalars(select(func.count()).select_from(table))[0] for table in (answered, ledger, lineage)]
    return counts[0], counts[1], counts[2]


def test_rows_events_and_lineage_commit_together(platform: Platform) -> None:
    session = platform.session()
    with session.begin() as unit:
        unit.insert(answered, answer("k") | {"at": unit.clock.now()})
        link(unit, "dataset:default/b@1", "dataset:default/a@1", "derived_from")
        unit.emit(Noted(subject="x"))
    assert rows(session) == (1, 1, 1)


def test_an_exception_leaves_no_row_no_event_and_no_lineage(platform: Platform) -> None:
    def work() -> None:
        with platform.session().begin() as unit:
            unit.insert(answered, answer("k") | {"at": unit.clock.now()})
            link(unit, "b", "a", "derived_from")
            unit.emit(Noted(subject="x"))
            raise Stop

    with pytest.raises(Stop):
        work()
    assert rows(platform.session()) == (0, 0, 0)


def test_a_row_that_is_refused_at_the_end_takes_the_rest_with_it(platform: Platform) -> None:
    def work() -> None:
        with platform.session().begin() as unit:
            unit.emit(Noted(subject="x"))
            for _ in range(2):
                unit.insert(answered, answer("twice") | {"at": unit.clock.now()})

    with pytest.raises(Conflict):
        work()
    assert rows(platform.session()) == (0, 0, 0)


def test_a_unit_inside_a_unit_joins_it(platform: Platform) -> None:
    def work() -> None:
        with platform.session().begin() as outer:
            with outer.begin() as inner:
                inner.emit(Noted(subject="x"))
                inner.insert(answered, answer("k") | {"at": inner.clock.now()})
            assert inner is outer
            raise Stop

    with pytest.raises(Stop):
        work()
    assert rows(platform.session()) == (0, 0, 0)


def test_two_units_of_one_session_do_not_share_events(platform: Platform) -> None:
    session = platform.session()
    for text in ("one", "two"):
        with session.begin() as unit:
            unit.emit(Noted(subject="x", text=text))
    assert rows(session) == (0, 2, 0)


def test_events_stand_in_the_order_in_which_they_happened(platform: Platform) -> None:
    with platform.session().begin() as unit:
        for number in range(5):
            unit.emit(Noted(subject="x", text=str(number)))
    with platform.session().begin(write=False) as unit:
        texts = unit.scalars(select(ledger.c.event).order_by(ledger.c.sequence))
    assert [f'"text":"{number}"' in text for number, text in enumerate(texts)] == [True] * 5


def test_what_has_not_begun_says_how_to_begin(platform: Platform) -> None:
    with pytest.raises(RuntimeError, match="has not begun"):
        platform.session().execute(insert(answered))


def test_a_number_beyond_64_bits_is_the_callers_mistake(platform: Platform) -> None:
    with pytest.raises(InvalidInput), platform.session().begin() as unit:
        unit.scalars(select(ledger.c.kind).where(ledger.c.sequence == 2**70))


def test_one_says_what_is_missing(session: Session) -> None:
    with pytest.raises(NotFound, match="No edge there") as caught:
        session.one(LineageEdge, select(lineage), "No edge there.", hint="Link something.")
    assert caught.value.hint == "Link something."


def test_rows_become_structs_by_the_names_of_their_fields(session: Session) -> None:
    link(session, "b", "a", "derived_from")
    assert session.all(LineageEdge, select(lineage)) == [LineageEdge("b", "a", "derived_from")]
    assert session.first(LineageEdge, select(lineage).where(lineage.c.upstream == "z")) is None


def test_a_change_says_how_many_rows_it_changed(session: Session) -> None:
    link(session, "b", "a", "derived_from")
    assert session.execute(lineage.delete().where(lineage.c.upstream == "a")) == 1
    assert session.execute(lineage.delete().where(lineage.c.upstream == "a")) == 0


def test_ids_sort_by_time_and_are_not_repeated(platform: Platform) -> None:
    ids = [platform.session().new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert {len(found) for found in ids} == {32}


def test_urns_name_the_sessions_project(platform: Platform) -> None:
    urn = parse_urn(platform.session(project="team").urn("model", "delay", 3))
    assert (urn.kind, urn.project, urn.name, urn.version) == ("model", "team", "delay", "3")


def test_the_active_session_is_found_only_inside(platform: Platform) -> None:
    session = platform.session()
    with session.activate():
        assert active_session() is session
    with pytest.raises(NotFound, match="No platform is active"):
        active_session()


class Kept(msgspec.Struct, frozen=True):
    """What these tests read back."""

    key: str
    usecase: str


def test_rows_come_back_as_structs(session: Session) -> None:
    for key in "ba":
        session.insert(answered, answer(key) | {"at": session.clock.now()})
    query = select(answered).order_by(answered.c.key)
    assert session.all(Kept, query) == [Kept("a", "x"), Kept("b", "x")]
    assert session.first(Kept, query) == session.one(Kept, query, "none") == Kept("a", "x")
    assert session.scalars(select(answered.c.key).order_by(answered.c.key)) == ["a", "b"]


def test_what_is_not_there_is_none_or_told_in_the_callers_words(session: Session) -> None:
    query = select(answered)
    assert session.first(Kept, query) is None
    with pytest.raises(NotFound, match="There is no answer") as caught:
        session.one(Kept, query, "There is no answer.", "Ask again.")
    assert caught.value.problem.hint == "Ask again."


def test_a_statement_says_how_many_rows_it_changed(session: Session) -> None:
    for key in "abc":
        session.insert(answered, answer(key) | {"at": session.clock.now()})
    assert session.execute(update(answered).where(answered.c.key != "a").values(usecase="y")) == 2


def test_names_are_those_of_the_sessions_project(platform: Platform) -> None:
    assert platform.session(project="mine").urn("model", "late", 2) == "model:mine/late@2"


def test_a_row_is_kept_in_the_sessions_project(platform: Platform) -> None:
    with platform.session(project="mine").begin() as unit:
        unit.insert(datasets, Dataset("d", "", 0, unit.clock.now()))
        assert unit.scalars(select(datasets.c.project)) == ["mine"]


def test_a_pool_without_a_free_connection_is_unavailable_and_not_a_crash(platform: Platform) -> None:
    engine = create_engine(platform.resources.database.url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    platform.resources.database.engine = engine
    second = platform.session().begin(write=False)
    with platform.session().begin(write=False), pytest.raises(Unavailable, match="in use"), second:
        pass
    engine.dispose()
