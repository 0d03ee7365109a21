"""Lists beside runs and models: experiments, what was deleted, policies, webhooks; and the project one looks at."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform
from everloop.registry.entities import FILES
from everloop.server.projects import COOKIE
from tests.server.conftest import TestClient, client_of
from tests.server.test_pages import BROWSER, page_of
from tests.server.test_pages_runs import made, names_in

POLICY = {"aliases": ["champion"], "approvals": 2, "minimums": {"roc_auc": 0.7}}


def test_an_experiment_leads_to_its_runs_and_says_how_many_it_has(platform: Platform, http: TestClient) -> None:
    platform.call("experiments.create", {"name": "tuning", "description": "What **works**?"})
    made(platform, "one"), made(platform, "two")
    html = page_of(http, "/experiments")
    assert 'href="/runs?experiment=tuning"' in html
    assert "What works?" in html
    assert '<td class="number">2</td>' in html


def test_a_deleted_experiment_is_listed_apart_and_can_be_restored(platform: Platform, http: TestClient) -> None:
    platform.call("experiments.create", {"name": "gone"})
    platform.call("experiments.delete", {"name": "gone"})
    assert "gone" not in page_of(http, "/experiments")
    assert "1 deleted" in page_of(http, "/experiments")
    assert 'data-act="/api/v1/experiments/gone/restore"' in page_of(http, "/experiments?deleted=1")


def test_deleted_runs_are_listed_apart_with_the_filter_that_one_gives(platform: Platform, http: TestClient) -> None:
    for name in ("kept", "gone", "lost"):
        run = made(platform, name)
        if name != "kept":
            platform.call("runs.delete", {"id": run.id})
    assert names_in(page_of(http, "/runs")) == ["kept"]
    assert sorted(names_in(page_of(http, "/runs?deleted=1"))) == ["gone", "lost"]
    assert names_in(page_of(http, "/runs?deleted=1&where=name+%3D+%27gone%27+or+name+%3D+%27kept%27")) == ["gone"]
    assert "data-restore" in page_of(http, "/runs?deleted=1")


def test_the_page_of_a_deleted_run_offers_to_restore_it(platform: Platform, http: TestClient) -> None:
    run = made(platform)
    assert "/restore" not in page_of(http, f"/runs/{run.id}")
    platform.call("runs.delete", {"id": run.id})
    assert f'data-act="/api/v1/runs/{run.id}/restore"' in page_of(http, f"/runs/{run.id}")


def test_a_parameter_with_many_digits_is_cut_and_told_whole_under_the_pointer(
    platform: Platform, http: TestClient
) -> None:
    made(platform, parameters={"rate": "0.0012345678901234", "digest": "0123456789abcdef"})
    html = page_of(http, "/runs?show=parameters.rate&show=parameters.digest")
    assert '<td class="tight" title="0.0012345678901234">0.001235</td>' in html
    assert "0123456789abcdef" in html


def test_a_policy_is_told_in_a_line(platform: Platform, http: TestClient) -> None:
    assert "everloop models set-policy" in page_of(http, "/policies")
    platform.call("models.set_policy", {"policy": POLICY})
    html = page_of(http, "/policies")
    assert "every model" in html
    assert "roc_auc 0.7" in html


def test_a_webhook_is_shown_without_what_may_be_secret(platform: Platform, http: TestClient) -> None:
    given = {"name": "chat", "url": "https://93.184.216.34/hook?token=hush", "events": ["model_version.created"]}
    platform.call("webhooks.create", given)
    html = page_of(http, "/webhooks")
    assert "https://93.184.216.34/hook" in html
    assert "hush" not in html


def test_a_card_shows_its_revisions_and_is_revised_from_its_own_text(platform: Platform, http: TestClient) -> None:
    trained = {
        "flavor": FILES,
        "digest": platform.resources.store.put_tree([]),
        "signature": {"inputs": [], "outputs": []},
    }
    platform.call("models.register", {"name": "m", "trained": trained, "card": "# First"})
    for text in ("# Second", "# Third"):
        platform.call("models.revise_card", {"name": "m", "version": 1, "text": text, "reason": f"for {text}"})
    html = page_of(http, "/models/m/versions/1")
    assert "revision 2 by" in html
    assert "for # Second" in html
    assert '<textarea name="text" required rows="12"># Third</textarea>' in html


def test_one_project_has_no_switch_and_two_have(platform: Platform) -> None:
    with client_of(platform) as http:
        assert 'class="project"' not in page_of(http, "/")
    platform.call("experiments.create", {"name": "e"}, project="other")
    with client_of(platform) as http:
        assert "<option>other</option>" in page_of(http, "/")


def test_who_chooses_a_project_sees_it_on_every_page_and_asks_its_api(platform: Platform, http: TestClient) -> None:
    platform.call("experiments.create", {"name": "elsewhere"}, project="other")
    answer = http.get("/project?name=other", headers=BROWSER, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "elsewhere" in page_of(http, "/experiments")
    assert [each["name"] for each in http.get("/api/v1/experiments").json()] == ["elsewhere"]
    named = http.get("/api/v1/experiments", headers={"x-everloop-project": "default"})
    assert "elsewhere" not in named.text


def test_a_link_on_another_site_chooses_no_project(http: TestClient) -> None:
    led = BROWSER | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert http.get("/project?name=other", headers=led, follow_redirects=False).status_code == 403
    assert COOKIE not in http.cookies


@pytest.mark.parametrize("name", ["", "..%2F", "a%0Ab", "x" * 200])
def test_what_no_project_can_be_called_is_not_chosen(http: TestClient, name: str) -> None:
    assert http.get(f"/project?name={name}", follow_redirects=False).status_code == 400


def test_a_cookie_that_names_nothing_possible_is_not_looked_at(platform: Platform) -> None:
    with client_of(platform) as http:
        http.cookies.set(COOKIE, "a b")
        assert page_of(http, "/runs")


def test_projects_are_those_that_anything_was_kept_in(platform: Platform) -> None:
    for project in ("zoo", "alpha", "mid"):
        platform.call("experiments.create", {"name": "e"}, project=project)
    platform.call("runs.start", {"experiment": "e"}, project="zoo")
    assert platform.call("governance.projects", {}) == ["alpha", "default", "mid", "zoo"]
