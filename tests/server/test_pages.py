"""The pages as a browser gets them: on a home where nothing has happened yet, and on one with a story."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser

import pytest
from starlette.applications import Starlette
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from everloop.app.platform import Platform
from everloop.app.settings import Setting
from everloop.governance.entities import Principal
from everloop.server.pages import ledger
from everloop.server.pages.routes import VIEWS, site
from everloop.store.entities import TreeEntry
from tests.server.conftest import TestClient, client_of
from tests.server.storytelling import EVIL, told

BROWSER = {"accept": "text/html,application/xhtml+xml"}
LISTS = [path for path in VIEWS if "{" not in path]
MISSING = (
    "/datasets/none", "/features/none", "/features/views/none", "/executions/none", "/runs/none",
    "/runs/none/files/a.txt", "/shown/none/a.png", "/models/none", "/models/none/versions/1", "/models/none/comparison",
    "/packages/none/1", "/endpoints/none", "/endpoints/none/predictions",
    "/endpoints/none/predictions/x", "/rollouts/none", "/monitors/none", "/alerts/none", "/loops/none",
    "/loops/none/candidates/1", "/trace?what=model:default/none@1", "/nowhere",
)  # fmt: skip


class Outline(HTMLParser):
    """What a page is made of: its elements with their attributes, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(http: TestClient, path: str, status: int = 200) -> str:
    response = http.get(path, headers=BROWSER)
    assert response.status_code == status, (path, response.status_code, response.text[:2000])
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return str(response.text)


def links_of(html: str) -> list[str]:
    found = [unescape(str(link["href"])).partition("#")[0] for link in Outline(html).all("a")]
    return [link for link in found if link.startswith("/") and not link.startswith(("/api/", "/reports/"))]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with told(tmp_path_factory.mktemp("story")) as platform:
        yield platform


@pytest.fixture(scope="module")
def reading(story: Platform) -> Iterator[TestClient]:
    with client_of(story) as client:
        yield client


@pytest.fixture(scope="module")
def crawled(reading: TestClient) -> dict[str, str]:
    """Every page that a reader can come to from the first one by links (of long lists, only the beginning)."""
    found: dict[str, str] = {}
    waiting, counts = ["/"], dict.fromkeys(VIEWS, 0)
    while waiting:
        path = waiting.pop(0)
        if path in found or counts[(pattern := pattern_of(path))] >= 40:
            continue
        counts[pattern] += 1
        found[path] = page_of(reading, path)
        waiting += links_of(found[path])
    return found


def pattern_of(path: str) -> str:
    bare = path.partition("?")[0]
    return next(pattern for pattern in VIEWS if compile_path(pattern)[0].fullmatch(bare))


@pytest.mark.parametrize("path", LISTS)
def test_a_fresh_home_has_every_page(http: TestClient, path: str) -> None:
    assert "<h1>" in page_of(http, path)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/", "everloop demo"),
        ("/datasets", "everloop add flights.csv"),
        ("/features", "everloop apply"),
        ("/runs", "everloop run PIPELINE"),
        ("/endpoints", "everloop endpoints create --name NAME --model MODEL"),
        ("/loops", "everloop apply"),
    ],
)
def test_an_empty_page_says_which_command_to_run_next(http: TestClient, path: str, command: str) -> None:
    assert f"<code>{command}</code>" in page_of(http, path)


def test_a_dataset_shows_its_branches_tags_and_what_each_version_was_made_from(
    platform: Platform, http: TestClient
) -> None:
    store = platform.resources.store
    for text in (b"one", b"two"):
        tree = store.put_tree([TreeEntry("a", store.put(text), len(text))])
        platform.call("datasets.commit_files", {"name": "texts", "digest": tree})
    platform.call("datasets.branch", {"name": "texts", "branch": "draft", "at": 1})
    platform.call("datasets.tag", {"name": "texts", "tag": "published"})
    html = re.sub(r"<[^>]+>", "", page_of(http, "/datasets/texts"))
    assert "main from version 1" in html
    assert "main, published" in html
    assert "Branches: main at 2, draft at 1." in html


def test_a_dataset_leads_to_the_report_of_its_last_check(reading: TestClient) -> None:
    assert 'href="/reports/evil"' in page_of(reading, "/datasets/evil")
    html = page_of(reading, "/reports/evil")
    assert "Checks of evil@1" in html
    assert "<script" not in html


def test_a_report_may_do_nothing_but_look_as_it_does(reading: TestClient) -> None:
    policy = reading.get("/reports/evil", headers=BROWSER).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; sandbox")


def test_where_there_was_no_check_there_is_no_report(reading: TestClient) -> None:
    assert "Nothing here" in page_of(reading, "/reports/none", status=404)


@pytest.mark.slow
def test_every_link_leads_to_a_page_and_every_page_can_be_come_to(crawled: dict[str, str]) -> None:
    assert {pattern_of(path) for path in crawled} == set(VIEWS)


@pytest.mark.slow
def test_nothing_that_people_write_becomes_markup(crawled: dict[str, str]) -> None:
    for path, html in crawled.items():
        assert "<script>alert" not in html, path
        assert "<img" not in html, path
        assert not [a for _, attributes in Outline(html).elements for a in attributes if a.startswith("on")], path


@pytest.mark.parametrize(
    "path",
    ["/runs?experiment=evil", "/datasets/evil", "/models/evil", "/models/late/versions/1", "/models/evil/versions/1"],
)
def test_what_people_write_is_shown_as_they_wrote_it(reading: TestClient, path: str) -> None:
    assert EVIL in unescape(page_of(reading, path))


@pytest.mark.parametrize("field", ["where", "order", "experiment"])
def test_what_stands_in_an_address_does_not_become_markup(reading: TestClient, field: str) -> None:
    response = reading.get("/runs", params={field: EVIL}, headers=BROWSER)
    assert response.status_code in (200, 400)
    assert "<script>alert" not in response.text


@pytest.mark.slow
def test_pages_obey_their_own_security_policy(crawled: dict[str, str]) -> None:
    for path, html in crawled.items():
        outline = Outline(html)
        assert not [a for _, a in outline.elements if "style" in a], path
        assert not outline.all("style"), path
        assert all(str(script["src"]).startswith("/static/") for script in outline.all("script")), path


@pytest.mark.slow
def test_pages_can_be_read_without_seeing_them(crawled: dict[str, str]) -> None:
    for path, html in crawled.items():
        outline = Outline(html)
        assert outline.all("html")[0]["lang"] == "en"
        assert len(outline.all("h1")) == len(outline.all("main")) == 1, path
        assert all("aria-label" in nav for nav in outline.all("nav")), path
        assert all("scope" in head for head in outline.all("th")), path
        named = ("aria-label", "aria-hidden", "viewbox", "class")
        assert all(any(name in svg for name in named) for svg in outline.all("svg")), path
        assert all("aria-label" in svg for svg in outline.all("svg") if svg.get("class") in ("plot", "graph")), path


@pytest.mark.slow
def test_ids_are_given_once_and_live_parts_have_one(crawled: dict[str, str]) -> None:
    for path, html in crawled.items():
        outline = Outline(html)
        ids = [a["id"] for _, a in outline.elements if "id" in a]
        assert len(ids) == len(set(ids)), path
        assert all("id" in a for _, a in outline.elements if "data-live" in a), path


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_is_a_page_that_says_so(http: TestClient, path: str) -> None:
    html = page_of(http, path, status=404)
    assert '<a class="brand" href="/">' in html
    assert "Nothing here" in html


def test_a_program_is_told_in_json_that_nothing_is_there(http: TestClient) -> None:
    assert http.get("/nowhere").json()["error"]["code"] == "not_found"
    assert http.get("/api/v1/nowhere", headers=BROWSER).json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "path", ["/datasets/parcels?version=x", "/ledger?before=x", "/lineage?urn=u&direction=sideways"]
)
def test_an_address_that_makes_no_sense_is_refused_with_a_hint(reading: TestClient, path: str) -> None:
    assert "It takes " in unescape(page_of(reading, path, status=400))


def test_a_filter_with_a_mistake_is_kept_with_what_is_wrong(reading: TestClient) -> None:
    html = page_of(reading, "/runs?where=metrics.auc+%3E", status=400)
    assert 'value="metrics.auc &gt;"' in html
    assert 'class="card notice"' in html


def test_a_version_says_what_runs_it_and_who_trusts_it(story: Platform, reading: TestClient) -> None:
    story.call("models.trust", {"name": "late", "version": 1, "reason": "I have read it."})
    html = page_of(reading, "/models/late/versions/1")
    assert "Models of the flavor curve run in their own library." in html
    assert "I have read it." in html
    assert "everloop size late@1" in html


def test_an_endpoint_shows_what_its_deployments_and_its_log_were_set_to(story: Platform, reading: TestClient) -> None:
    fallback = {"kind": "constant", "value": 0.2}
    story.call("endpoints.deploy", {"name": "late", "version": 1, "configuration": {"fallback": fallback}})
    story.call("endpoints.set_log_policy", {"name": "late", "policy": {"retention_days": 30}})
    html = page_of(reading, "/endpoints/late")
    assert '<span class="soft">fallback</span> kind constant, value 0.2' in html
    assert "<dt>retention days</dt><dd>30</dd>" in html


def test_runs_can_be_filtered(reading: TestClient) -> None:
    everything = page_of(reading, "/runs").count('<th scope="row">')
    failed = page_of(reading, "/runs?where=status+%3D+%27failed%27").count('<th scope="row">')
    assert 0 < failed < everything


def test_a_reader_sees_every_page(story: Platform, reading: TestClient) -> None:
    bearer = BROWSER | bearer_of(story, "ada")
    assert {reading.get(path, headers=bearer).status_code for path in LISTS} == {200}


def test_only_owners_see_tokens_and_settings(story: Platform, reading: TestClient) -> None:
    assert "<h2>Settings</h2>" in page_of(reading, "/access")
    html = reading.get("/access", headers=bearer_of(story, "ada")).text
    assert "Only owners see tokens." in html
    assert "<h2>Settings</h2>" not in html


@pytest.mark.parametrize("path", [path for path in LISTS if path != "/trace"])
def test_every_page_asks_for_the_permission_to_read(platform: Platform, path: str) -> None:
    pages = Starlette(routes=site(platform).routes())

    async def as_eve(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["principal"] = Principal("eve", ())
        await pages(scope, receive, send)

    with TestClient(as_eve) as eve:
        assert "eve (no role) may not" in page_of(eve, path, status=403)


def bearer_of(platform: Platform, principal: str) -> dict[str, str]:
    """What a browser shows for a token of a principal, who is a reader."""
    platform.call("governance.grant", {"principal": principal, "roles": ("reader",)})
    return {"authorization": f"Bearer {platform.call('tokens.create', {'principal': principal}).secret}"}


def test_from_elsewhere_a_token_is_wanted(platform: Platform) -> None:
    with client_of(platform, host="10.0.0.9") as stranger:
        assert stranger.get("/", headers=BROWSER).status_code == 401


def test_the_overview_shows_the_rollout_that_runs(reading: TestClient, story: Platform) -> None:
    html = page_of(reading, "/")
    endpoint = story.call("endpoints.get", {"name": "late"})
    canary = next(share for share in endpoint.traffic if share.role == "canary")
    assert f"canary {canary.percent:g} %" in html
    assert "rolling out" in html


def test_the_overview_marks_what_became_of_candidates(reading: TestClient) -> None:
    assert html_count(page_of(reading, "/"), r'class="mark bad"') >= 1


def html_count(html: str, pattern: str) -> int:
    return len(re.findall(pattern, html))


def test_a_candidate_tells_what_stopped_it(reading: TestClient) -> None:
    html = page_of(reading, "/loops/late/candidates/2")
    assert "What stopped it" in html
    assert "not better" in html


def test_an_execution_shows_its_steps(reading: TestClient, story: Platform) -> None:
    execution = story.call("pipelines.executions", {})[0]
    html = page_of(reading, f"/executions/{execution.id}")
    assert all(f'<th scope="row">{step.name}</th>' in html for step in execution.steps)
    assert html.count('class="span"') == len(execution.steps) > 0


def test_a_prediction_shows_what_the_model_saw_and_where_the_answer_came_from(
    reading: TestClient, story: Platform
) -> None:
    record = story.call("endpoints.predictions", {"name": "late", "limit": 1})[0]
    html = page_of(reading, f"/endpoints/late/predictions/{record.id}")
    assert f"<code>{record.id}</code>" in html
    assert f"model late@{record.model_version}" in html
    assert "<dt>weight</dt>" in html


def test_a_monitor_shows_its_windows_one_by_one(reading: TestClient, story: Platform) -> None:
    reports = story.call("monitors.reports", {"endpoint": "late"})
    html = page_of(reading, f"/monitors/late?window={reports[3].start.isoformat().replace('+', '%2B')}")
    assert f"The window of {reports[3].start.day} Jan 2026" in html
    assert "Earlier" in html


def test_the_ledger_pages_from_the_newest_entry_to_the_first(reading: TestClient) -> None:
    seen: list[int] = []
    path = "/ledger"
    while path:
        html = page_of(reading, path)
        seen += [int(number) for number in re.findall(r'class="who">(\d+) ', html)]
        older = re.search(r'href="([^"]*)">Older', html)
        path = unescape(older.group(1)) if older else ""
    assert seen == list(range(seen[0], 0, -1))
    assert len(seen) > ledger.PAGE


def test_the_ledger_says_when_somebody_has_changed_an_entry(platform: Platform, http: TestClient) -> None:
    platform.call("experiments.create", {"name": "x"})
    assert "the chain is intact" in page_of(http, "/ledger")
    with platform.session().begin() as unit:
        unit.connection.exec_driver_sql("UPDATE ledger SET principal = 'nobody'")
    assert "broken at entry 1" in page_of(http, "/ledger")


def test_a_lineage_that_is_too_large_is_drawn_in_part_and_says_so(
    reading: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_NODES", 4)
    html = page_of(reading, "/lineage?urn=model:default/late@1")
    assert html.count('class="node') == 4
    assert "Only the 4 nearest are drawn" in html


def test_a_password_in_a_setting_is_not_shown(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Setting("database_url", "postgresql://me:sesame@db/x", "argument", "EVERLOOP_DATABASE_URL")
    monkeypatch.setattr(type(platform.settings), "table", lambda self: [secret])
    with client_of(platform) as client:
        html = page_of(client, "/access")
    assert "sesame" not in html
    assert "postgresql://me:•••@db/x" in html


@pytest.mark.parametrize("file", ["everloop.css", "live.js", "icon.svg"])
def test_static_files_are_kept_by_browsers_under_an_address_of_their_content(http: TestClient, file: str) -> None:
    (address,) = set(re.findall(rf'"(/static/{re.escape(file)}\?v=[0-9a-f]+)"', page_of(http, "/")))
    response = http.get(address)
    assert response.status_code == 200
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("file", ["nothing.css", "..%2Fsite.py", "%2e%2e/templates/page.html"])
def test_only_static_files_are_given_out(http: TestClient, file: str) -> None:
    assert http.get(f"/static/{file}").status_code == 404
