"""What people change from pages, in a real Chromium: each form is sent, and what it says then is so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.registry.entities import FILES
from tests.conftest import unsynced
from tests.server.chromium import Browser, browser
from tests.server.conftest import served
from tests.server.test_pages_traces import ID, SPANS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page_forms"), pytest.mark.timeout(240)]


class Desk:
    """A platform that is served, and somebody who looks at its pages."""

    def __init__(self, platform: Platform, address: str, chromium: Browser) -> None:
        self.platform, self.chromium, self._address = platform, chromium, address

    def call(self, usecase: str, **arguments: object) -> Any:
        return self.platform.call(usecase, arguments)

    def open(self, path: str) -> None:
        self.chromium.questions.clear()
        self.chromium.open(self._address + path)

    def tell(self, expression: str) -> Any:
        return self.chromium.tell(expression)

    def send(self, action: str, press: str = "button", **fields: str) -> None:
        """Fill in the form whose action ends so, and press a button of it; the page comes again when it went well."""
        form = f"document.querySelector('form[data-act$=\"{action}\"]')"
        self.tell("window.before = true")
        for name, text in fields.items():
            self.tell(f"{form}.elements['{name}'].value = {text!r}")
        self.tell(f"{form}.querySelector({press!r}).click()")
        self.until("window.before === undefined && document.readyState === 'complete'")

    def until(self, expression: str) -> None:
        deadline = time.monotonic() + 20
        while not self._holds(expression):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def _holds(self, expression: str) -> bool:
        """Whether it holds now; a page that is just leaving has nothing to say."""
        try:
            return bool(self.tell(expression))
        except AssertionError:
            return False


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A home with a model of one version, looked at from a desk."""
    folder = tmp_path_factory.mktemp("desk")
    platform = open_platform(load({"home": str(folder / "home")}, environment={}, folder=folder))
    unsynced(platform)
    signature: dict[str, object] = {"inputs": [], "outputs": []}
    trained = {"flavor": FILES, "digest": platform.resources.store.put_tree([]), "signature": signature}
    platform.call("models.register", {"name": "late", "trained": trained, "card": "# A card"})
    with served(platform) as address, browser() as chromium:
        chromium.look(1280)
        yield Desk(platform, address, chromium)
    platform.close()


def test_a_version_is_approved_with_a_reason(desk: Desk) -> None:
    desk.open("/models/late/versions/1")
    desk.send("/approvals", press="button[value=approved]", reason="I read the card.")
    assert desk.chromium.questions == ["Approve this version?"]
    (decision,) = desk.call("models.approvals", name="late", version=1)
    assert (decision.decision, decision.reason) == ("approved", "I read the card.")
    assert "I read the card." in desk.tell("document.body.textContent")


def test_a_version_is_rejected_by_the_other_button(desk: Desk) -> None:
    desk.open("/models/late/versions/1")
    desk.send("/approvals", press="button[value=rejected]", reason="Too late.")
    assert desk.call("models.approvals", name="late", version=1)[0].decision == "rejected"


def test_an_alias_is_moved_here_after_a_question_that_names_it(desk: Desk) -> None:
    desk.open("/models/late/versions/1")
    desk.send("/aliases/{alias}", alias="candidate")
    assert desk.chromium.questions == ["Let candidate name version 1 from now on?"]
    assert [(each.alias, each.version) for each in desk.call("models.aliases", name="late")] == [("candidate", 1)]


def test_what_is_refused_is_said_beside_the_form_and_nothing_is_lost(desk: Desk) -> None:
    desk.open("/models/late/versions/1")
    form = "document.querySelector('form[data-act$=\"/aliases/{alias}\"]')"
    desk.tell(f"{form}.elements.alias.value = 'no name at all!'; {form}.querySelector('button').click()")
    desk.until(f"{form}.querySelector('output').textContent !== ''")
    assert desk.tell(f"{form}.elements.alias.value") == "no name at all!"


def test_a_card_is_revised(desk: Desk) -> None:
    desk.open("/models/late/versions/1")
    desk.send("/card", text="# A better card", reason="It is better.")
    assert desk.call("models.card_revisions", name="late", version=1)[0].text == "# A better card"
    assert desk.tell("document.querySelector('#card .rendered').textContent").startswith("A better card")


def test_runs_are_deleted_from_the_list_and_restored_from_that_of_deleted_ones(desk: Desk) -> None:
    run = desk.call("runs.start", experiment="tuning", name="one").id
    for path, button in (("/runs", "data-delete"), ("/runs?deleted=1", "data-restore")):
        desk.open(path)
        desk.tell("document.querySelector('#runs input[name=run]').click(); window.before = true")
        desk.tell(f"document.querySelector('button[{button}]').click()")
        desk.until("window.before === undefined && document.readyState === 'complete'")
        assert (desk.call("runs.get", id=run).deleted is None) is (button == "data-restore")


def test_an_experiment_is_deleted_and_restored(desk: Desk) -> None:
    desk.call("experiments.create", name="short")
    desk.open("/experiments")
    desk.send("/experiments/short")
    assert [each.name for each in desk.call("experiments.list", deleted=True)] == ["short"]
    desk.open("/experiments?deleted=1")
    desk.send("/experiments/short/restore")
    assert desk.call("experiments.list", deleted=True) == []


def test_the_project_is_changed_in_the_header(desk: Desk) -> None:
    desk.platform.call("experiments.create", {"name": "elsewhere"}, project="other")
    desk.open("/project?name=other")
    desk.open("/experiments")
    assert "elsewhere" in desk.tell("document.body.textContent")
    select = "document.querySelector('form.project select')"
    assert desk.tell(f"{select}.value") == "other"
    desk.tell(f"{select}.value = 'default'; {select}.dispatchEvent(new Event('change', {{ bubbles: true }}))")
    desk.until("location.pathname === '/' && document.readyState === 'complete'")
    assert desk.tell(f"{select}.value") == "default"


def test_a_span_is_opened_by_the_keyboard(desk: Desk) -> None:
    desk.call("traces.log", id=ID, experiment="bot", spans=SPANS)
    desk.open(f"/traces/{ID}")
    desk.tell("document.querySelector('.waterfall summary').focus()")
    desk.chromium.press("Enter")
    assert desk.tell("document.querySelector('.waterfall details').open") is True
