"""Spans come one by one, in any order and more than once, and make up one trace."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.tracking import experiments
from everloop.tracking.traces import parts, service, writing
from everloop.tracking.traces.entities import Span, Trace
from everloop.tracking.traces.tables import assessments, trace_links, trace_parts, traces
from tests.tracking.traces.build import MS, START, record, root, span, whole

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def kinds(platform: Platform) -> list[str]:
    """What the ledger says of traces."""
    found = [entry.kind for entry in platform.call("audit.entries", {})]
    return [kind for kind in found if kind.startswith("traces.")]


def count(session: Session, table: str = "trace_parts") -> int:
    return int(
        session.connection.execute(select(func.count()).select_from(trace_parts.metadata.tables[table])).scalar_one()
    )


def test_a_trace_begins_with_its_first_span_and_ends_with_its_root(session: Session) -> None:
    record(session, "t", span("child", at=2))
    assert (whole(session, "t").state, whole(session, "t").name) == ("in_progress", "")
    record(session, "t", root(ms=10))
    found = whole(session, "t")
    assert (found.state, found.name, found.started, found.milliseconds) == ("ok", "answer", BEGAN, 10)
    assert [it.id for it in found.spans] == ["root", "child"]


def test_a_root_that_failed_makes_the_trace_fail(session: Session) -> None:
    record(session, "t", root("error"))
    assert whole(session, "t").state == "error"


def test_what_comes_again_changes_nothing(session: Session) -> None:
    record(session, "t", span("child"), root())
    before = whole(session, "t")
    record(session, "t", span("child"), root())
    assert whole(session, "t") == before
    assert count(session) == 1


def test_a_span_that_comes_again_is_kept_as_it_came_last(session: Session) -> None:
    record(session, "t", Span("a", "early", "root", START))
    record(session, "t", Span("a", "late", "root", START, START + MS))
    assert [it.name for it in whole(session, "t").spans] == ["late"]


def test_the_parts_of_a_trace_become_one_when_it_ends(session: Session) -> None:
    for n in range(5):
        record(session, "t", span(f"child-{n}", at=n))
    assert count(session) == 5
    record(session, "t", root())
    assert count(session) == 1
    assert len(whole(session, "t").spans) == 6


def test_a_trace_that_never_ends_does_not_pile_up_parts(session: Session) -> None:
    for n in range(writing.PARTS + 5):
        record(session, "t", span(f"child-{n}", at=n))
    assert count(session) < 10
    assert len(whole(session, "t").spans) == writing.PARTS + 5


@given(seed=st.integers(0, 10_000), cuts=st.lists(st.integers(0, 8), max_size=4))
def test_in_whatever_order_and_batches_spans_come_the_trace_is_the_same(
    shared_platform: Platform, seed: int, cuts: list[int]
) -> None:
    all_spans = [root(), *(span(f"c{n}", "root" if n < 4 else "c1", at=n, ms=n * 3) for n in range(8))]
    mixed = random.Random(seed).sample(all_spans, len(all_spans))
    with shared_platform.session().begin() as session:
        record(session, f"whole-{seed}", *all_spans)
        for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(mixed)], strict=True):
            if low < high:
                record(session, f"mixed-{seed}", *mixed[low:high])
        one, other = whole(session, f"whole-{seed}"), whole(session, f"mixed-{seed}")
        assert msgspec.structs.replace(other, id=one.id) == one
        service.remove(session, [one.id, other.id])


def test_what_the_client_says_of_the_whole_stands_whenever_it_says_it(session: Session) -> None:
    service.place(session, "chat")
    told = Trace("t", "chat", "error", BEGAN + timedelta(seconds=1), 7, "mine", tags={"team": "core"})
    record(session, "t", span("child"))
    writing.tell(session, told)
    record(session, "t", root("ok", ms=500))
    found = whole(session, "t")
    assert (found.state, found.started, found.milliseconds) == ("error", told.started, 7)
    assert (found.name, found.tags, len(found.spans)) == ("mine", {"team": "core"}, 2)


def test_the_ledger_has_one_event_for_the_beginning_and_one_for_the_end(platform: Platform) -> None:
    for batch in ([span("a"), span("b")], [span("c")], [root()], [root()]):
        with platform.session().begin() as session:
            record(session, "t", *batch)
    assert sorted(kinds(platform)) == ["traces.ended", "traces.started"]


def test_a_trace_that_comes_whole_has_one_event(platform: Platform) -> None:
    with platform.session().begin() as session:
        record(session, "t", root(), span("a"))
    assert kinds(platform) == ["traces.ended"]


def test_tags_of_the_sender_and_of_the_root_are_the_traces(session: Session) -> None:
    record(session, "t", root(attributes={"mlflow.traceTag.user tier": "gold"}), tags={"service.name": "shop"})
    assert whole(session, "t").tags == {"service.name": "shop", "user tier": "gold"}


def test_sessions_and_users_are_found_in_the_attributes(session: Session) -> None:
    record(session, "t", root(attributes={"gen_ai.conversation.id": "s-1", "user.id": 7}))
    assert whole(session, "t").metadata == {"mlflow.trace.session": "s-1", "mlflow.trace.user": "7"}


def test_what_went_in_and_came_out_is_kept_from_its_beginning(session: Session) -> None:
    chat = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]}
    record(session, "t", root(attributes={"mlflow.spanInputs": chat, "mlflow.spanOutputs": "x" * 5000}))
    found = whole(session, "t")
    assert found.request == "Hello?"
    assert found.response == "x" * 997 + "..."


@pytest.mark.parametrize("id", ["", "a/b", "a\nb", "x" * 129])
def test_an_id_that_cannot_be_one_is_refused(session: Session, id: str) -> None:
    with pytest.raises(InvalidInput, match="no id of a trace"):
        record(session, id, root())


def test_a_deleted_experiment_takes_no_traces(session: Session) -> None:
    record(session, "t", root())
    known = experiments.first(session, "chat")
    assert known is not None
    experiments.hide(session, known)
    with pytest.raises(Conflict, match="deleted"):
        service.log(session, "u", "chat", (root(),))


def test_deletion_leaves_nothing_behind(session: Session) -> None:
    record(session, "t", root(), span("a"))
    record(session, "kept", root())
    service.set_tags(session, "t", {"a": "b"})
    service.delete(session, "t")
    with pytest.raises(NotFound):
        service.get(session, "t")
    assert {table.name: count(session, table.name) for table in (traces, trace_parts, trace_links, assessments)} == {
        "traces": 1,
        "trace_parts": 1,
        "trace_links": 0,
        "assessments": 0,
    }


@given(
    st.lists(st.builds(Span, st.text(min_size=1, max_size=5), st.text(), st.text(max_size=2), st.integers(0, 2**63)))
)
def test_spans_are_unpacked_as_they_were_packed(spans: list[Span]) -> None:
    assert parts.unpack(parts.pack(spans)) == spans


def test_a_change_of_tags_is_in_the_ledger(platform: Platform) -> None:
    with platform.session().begin() as session:
        record(session, "t", root())
    platform.call("traces.set_tags", {"id": "t", "tags": {"team": "core"}})
    platform.call("traces.delete_tag", {"id": "t", "key": "team"})
    assert kinds(platform).count("traces.tagged") == 2
