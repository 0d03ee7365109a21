"""Pages of traces: the list with its filter, and one as the tree of its spans."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.server.pages.traces import DEEPEST, tree
from everloop.tracking.traces.entities import Span
from tests.server.conftest import TestClient
from tests.server.test_pages import page_of

ID = "tr-" + "0" * 31 + "1"
SPANS = [
    {
        "id": "1" * 16,
        "name": "answer",
        "started": 10**18,
        "ended": 10**18 + 840_000_000,
        "status": "error",
        "message": "it failed below",
        "attributes": {"mlflow.spanInputs": '{"question": "Why?"}', "mlflow.spanOutputs": {"answer": "<b>Because</b>"}},
    },
    {
        "id": "2" * 16,
        "name": "ask_model",
        "parent": "1" * 16,
        "started": 10**18 + 200_000_000,
        "ended": 10**18 + 800_000_000,
        "status": "error",
        "message": "429",
        "attributes": {"mlflow.spanType": "LLM", "model": "large"},
        "events": [{"name": "exception", "at": 10**18, "attributes": {"exception.type": "RateLimit"}}],
    },
]


@pytest.fixture
def traced(platform: Platform) -> str:
    """The id of a trace of two spans, of which the lower one failed."""
    platform.call("traces.log", {"id": ID, "experiment": "bot", "spans": SPANS, "tags": {"team": "core"}})
    return ID


def test_the_list_leads_to_each_trace_and_tells_what_was_asked(http: TestClient, traced: str) -> None:
    html = page_of(http, "/traces")
    assert f'href="/traces/{traced}"' in html
    assert "Why?" in html
    assert "840 ms" in html


def test_the_list_is_filtered_as_the_use_case_does(http: TestClient, traced: str) -> None:
    assert traced in page_of(http, "/traces?where=status+%3D+%27ERROR%27&experiment=bot")
    assert "No trace is like that." in page_of(http, "/traces?where=status+%3D+%27OK%27")


def test_a_filter_that_makes_no_sense_is_explained_beside_it(http: TestClient, traced: str) -> None:
    html = page_of(http, "/traces?where=colour+is+red", 400)
    assert 'aria-invalid="true"' in html
    assert 'role="alert"' in html


def test_the_next_page_goes_on_where_the_first_ended(
    platform: Platform, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("everloop.server.pages.traces.LIMIT", 2)
    for number in range(3):
        spans = [SPANS[0] | {"started": 10**18 + number * 10**9, "ended": 10**18 + number * 10**9 + 1}]
        platform.call("traces.log", {"id": f"tr-{number:032x}", "experiment": "bot", "spans": spans})
    (link,) = re.findall(r'href="(/traces\?[^"]*)" rel="next"', page_of(http, "/traces"))
    assert re.findall(r'<a href="/traces/(tr-\w+)"', page_of(http, link.replace("&amp;", "&"))) == [f"tr-{0:032x}"]


def test_a_span_that_failed_opens_by_itself_and_its_parent_does_not(http: TestClient, traced: str) -> None:
    html = page_of(http, f"/traces/{traced}")
    assert re.findall(r"<details( open)?>\s*<summary><span class=\"what n(\d)\">", html) == [("", "0"), (" open", "1")]


def test_what_went_in_and_came_out_is_shown_as_text(http: TestClient, traced: str) -> None:
    html = page_of(http, f"/traces/{traced}")
    assert "{\n  &#34;question&#34;: &#34;Why?&#34;\n}" in html
    assert "&lt;b&gt;Because" in html
    assert "exception.type: RateLimit" in html


def test_a_span_has_its_bar_where_it_stood_in_time(http: TestClient, traced: str) -> None:
    html = page_of(http, f"/traces/{traced}")
    assert re.findall(r'class="fill bad" x="([\d.]+)%" width="([\d.]+)%"', html) == [
        ("0.00", "100.00"),
        ("23.81", "71.43"),
    ]


def test_a_trace_that_there_is_not_is_said_to_be_none(http: TestClient) -> None:
    assert page_of(http, "/traces/tr-none", 404)


def test_a_run_leads_to_its_traces(platform: Platform, http: TestClient) -> None:
    run = platform.call("runs.start", {"experiment": "bot"}).id
    platform.call("traces.log", {"id": ID, "experiment": "bot", "spans": SPANS, "run": run})
    assert f'href="/traces/{ID}"' in page_of(http, f"/runs/{run}")


IDS = st.sampled_from("abcdefgh")


@given(st.dictionaries(IDS, st.tuples(st.sampled_from("abcdefghz") | st.just(""), st.integers(0, 5)), max_size=8))
def test_every_span_is_shown_once_below_its_parent_whatever_they_say(told: dict[str, tuple[str, int]]) -> None:
    spans = [Span(id, parent=parent, started=at, ended=at) for id, (parent, at) in told.items()]
    shown = tree(spans)
    assert sorted(span.id for span, _ in shown) == sorted(told)
    depth = {span.id: depth for span, depth in shown}
    places = [span.id for span, _ in shown]
    for span, _ in shown:
        if depth[span.id]:
            assert places.index(span.parent) < places.index(span.id)
            assert depth[span.id] == min(depth[span.parent] + 1, DEEPEST)
