"""Traces are found by all that is known of them, in an order that stays, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.tracking.traces import assessing, language, links, service, writing
from everloop.tracking.traces import search as finding
from everloop.tracking.traces.entities import Assessment, Source, Trace, TraceState
from tests.servers import postgresql
from tests.tracking.traces.build import record, root, span

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MS = int(BEGAN.timestamp() * 1000)
STATES: tuple[TraceState, ...] = ("ok", "error", "in_progress", "unspecified")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def searched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform on each database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("shared_platform")
        return
    folder = tmp_path_factory.mktemp("postgresql")
    with postgresql() as server:
        settings = {"home": str(folder / "home"), "database_url": f"{server}/postgres"}
        opened = open_platform(load(settings, environment={}, folder=folder))
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def found(searched: Platform) -> Iterator[Session]:
    """Four traces a, b, c and d, a millisecond apart; d is in another experiment."""
    with searched.session().begin() as session:
        for n, name in enumerate("abcd"):
            experiment = "other" if name == "d" else "chat"
            service.place(session, experiment)
            tags = {"team": "core" if n < 2 else "edge"} if name != "c" else {}
            length = None if name == "c" else n * 10
            at = BEGAN + timedelta(milliseconds=n)
            told = Trace(name, experiment, STATES[n], at, length, f"Trace {name}", f"run-{n}", tags=tags)
            writing.tell(session, told)
        record(session, "a", span("plan", attributes={"mlflow.spanType": "AGENT", "model": "gpt-4"}), span("look up"))
        record(session, "b", root("error", attributes={"n": [1, {"deep": "needle"}]}), experiment="chat")
        for id, name, value in (("1", "a", 0.9), ("2", "b", "good"), ("3", "b", True)):
            said = Assessment(id, "feedback", f"f{id}", value, Source("CODE"), BEGAN, BEGAN)
            assessing.add(session, name, said)
        links.add(session, "c", "run", ["run-0"])
        links.add(session, "c", "prompt", ["qa/3"])
        yield session


def ids(session: Session, where: str = "", order: str = "timestamp ASC", experiment: str = "") -> str:
    page = service.search(session, experiment=experiment, where=where, order=order)
    return "".join(trace.id for trace in page.traces)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("", "abcd"),
        ("status = 'OK'", "a"),
        ("status != 'ok'", "bcd"),
        ("status = 'STATE_UNSPECIFIED'", "d"),
        ("status LIKE 'IN%'", "c"),
        (f"timestamp_ms > {MS} AND timestamp_ms <= {MS + 2}", "bc"),
        (f"timestamp > {10**30}", ""),
        ("execution_time_ms >= 10", "bd"),
        ("execution_time_ms = 10", "b"),
        (f"end_time_ms = {MS + 11}", "b"),
        ("name = 'Trace a'", "a"),
        ("name ILIKE 'TRACE %'", "abcd"),
        ("name LIKE 'trace %'", ""),
        ("name RLIKE '[ab]$'", "ab"),
        ("tags.team = 'core'", "ab"),
        ("tags.team != 'core'", "d"),
        ("tags.team IS NULL", "c"),
        ("tags.`team` IS NOT NULL AND status = 'ERROR'", "b"),
        ("run_id = 'run-0'", "ac"),
        ("request_id IN ('a', 'd')", "ad"),
        ("prompt = 'qa/3'", "c"),
        ("feedback.f1 > 0.5", "a"),
        ("feedback.f2 = 'good'", "b"),
        ("feedback.f3 = 'true'", "b"),
        ("feedback.f3 > 0", ""),
        ("feedback.f1 IS NULL", "bcd"),
        ("feedback.f1 IS NOT NULL", "a"),
        ("span.name = 'plan'", "a"),
        ("span.name RLIKE '^pl.n$'", "a"),
        ("span.name = 'plan' AND span.type = 'AGENT'", "a"),
        ("span.name = 'look up' AND span.type = 'AGENT'", ""),
        ("span.status = 'ERROR'", "b"),
        ("span.attributes.model LIKE 'gpt%'", "a"),
        ("trace.text LIKE '%needle%'", "b"),
        ("span.content ILIKE '%NEEDLE%' AND status = 'OK'", ""),
    ],
)
def test_a_filter_finds(found: Session, where: str, names: str) -> None:
    assert ids(found, where) == names


def test_an_experiment_has_its_own_traces(found: Session) -> None:
    assert ids(found, experiment="chat") == "abc"
    assert ids(found, experiment="nothing") == ""


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("timestamp DESC", "dcba"),
        ("execution_time_ms", "abdc"),
        ("execution_time_ms DESC", "dbac"),
        ("tags.team DESC", "dbac"),
        ("tags.nothing", "dcba"),
        ("status", "bcad"),
        ("name DESC", "dcba"),
        ("experiment_id", "cbad"),
    ],
)
def test_an_order_puts_what_has_no_value_last(found: Session, order: str, names: str) -> None:
    assert ids(found, order=order) == names


@given(
    st.sampled_from(["timestamp", "timestamp DESC", "tags.team", "tags.team DESC", "execution_time_ms DESC", "status"])
)
def test_pages_make_up_the_whole_in_any_order(found: Session, order: str) -> None:
    token, seen = "", ""
    while True:
        page = service.search(found, order=order, limit=1, after=token)
        seen, token = seen + "".join(trace.id for trace in page.traces), page.next
        if not token:
            break
    assert seen == ids(found, order=order)


def test_pages_stay_where_they_are_when_others_come_and_go(session: Session) -> None:
    for n in range(6):
        record(session, f"t{n}", span("x", at=n))
    first = service.search(session, limit=2)
    record(session, "newer", span("x", at=100))
    service.delete(session, "t4")
    second = service.search(session, limit=2, after=first.next)
    assert [trace.id for trace in (*first.traces, *second.traces)] == ["t5", "t4", "t3", "t2"]


def test_spans_are_searched_beyond_the_first_look(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "CHUNK", 3)
    for n in range(10):
        record(session, f"t{n}", span("odd" if n % 2 else "even", at=n))
    page = service.search(session, where="span.name = 'odd'", limit=3)
    rest = service.search(session, where="span.name = 'odd'", limit=3, after=page.next)
    assert [trace.id for trace in (*page.traces, *rest.traces)] == ["t9", "t7", "t5", "t3", "t1"]
    assert rest.next == ""


def test_matches_are_counted(found: Session) -> None:
    assert finding.count(found, ["chat"], language.parse("tags.team = 'core'")) == 2
    assert finding.count(found, ["chat"], language.parse("span.name = 'plan'")) == 1
    assert finding.count(found, [], []) == 0


@pytest.mark.parametrize("token", ["x", "////", "3", "kQE=" * 9, "\u00e9"])
def test_a_token_of_no_page_is_refused(found: Session, token: str) -> None:
    with pytest.raises(InvalidInput, match="no page token"):
        service.search(found, after=token)


@pytest.mark.parametrize("where", ["name RLIKE '('", "span.name RLIKE '('", "tags.a RLIKE '[' ", "name RLIKE '(a)\\1'"])
def test_a_pattern_that_is_none_is_refused(found: Session, where: str) -> None:
    with pytest.raises(InvalidInput, match="no regular expression"):
        service.search(found, where=where)
