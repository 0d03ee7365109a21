"""Pages in a real Chromium: on a phone and on a desk, light and dark."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from everloop.app.platform import Platform
from everloop.server.main import build_app
from tests.server.chromium import Browser, browser
from tests.server.storytelling import told
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("pages"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, str]]:
    """A story, served on a port."""
    with told(tmp_path_factory.mktemp("story")) as platform:
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(build_app(platform), port=port, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield platform, f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def pages_of(platform: Platform) -> list[str]:
    """One page of each kind."""
    call = platform.call
    run = call("runs.search", {})[0].id
    execution = call("pipelines.executions", {})[0].id
    prediction = call("endpoints.predictions", {"name": "late", "limit": 1})[0].id
    rollout = call("rollouts.list", {})[0].id
    return [
        "/", "/datasets", "/datasets/evil", "/datasets/parcels", "/features", "/features/sorting",
        "/features/views/depots", "/pipelines", f"/executions/{execution}", "/runs", f"/runs/{run}", "/models",
        "/models/late", "/models/late/versions/1", "/models/evil/versions/1", "/packages/late/1", "/endpoints",
        "/endpoints/late", "/endpoints/late/predictions", f"/endpoints/late/predictions/{prediction}",
        f"/rollouts/{rollout}", "/monitors", "/monitors/late", "/loops", "/loops/late", "/loops/late/candidates/2",
        "/ledger", "/lineage", "/lineage?urn=model:default/late@1", "/trace?what=model:default/late@1", "/access",
        "/nowhere",
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (390, "light"), (1280, "light")])
def test_no_page_is_wider_than_its_window(
    site: tuple[Platform, str], chromium: Browser, width: int, scheme: str
) -> None:
    platform, address = site
    chromium.look(width, scheme="dark" if scheme == "dark" else "light")
    wide = {}
    for path in pages_of(platform):
        chromium.open(address + path)
        found = chromium.tell("document.documentElement.scrollWidth")
        if found > width:
            wide[path] = found
    assert wide == {}


def test_the_browser_finds_nothing_to_block_or_to_complain_of(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    chromium.look(1280)
    chromium.complaints.clear()
    for path in pages_of(platform)[:-1]:
        chromium.open(address + path)
    assert chromium.complaints == []


def test_text_is_large_enough_to_read_on_a_phone(site: tuple[Platform, str], chromium: Browser) -> None:
    _, address = site
    chromium.look(390)
    for path in ("/", "/monitors/late", "/datasets/parcels", "/lineage?urn=model:default/late@1"):
        chromium.open(address + path)
        smallest = chromium.tell(
            "Math.min(...[...document.querySelectorAll('body *')].filter(e => [...e.childNodes]"
            ".some(n => n.nodeType === 3 && n.textContent.trim())).map(e => parseFloat(getComputedStyle(e).fontSize)))"
        )
        assert smallest >= 11, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(site: tuple[Platform, str], chromium: Browser, scheme: str) -> None:
    chromium.look(1280, scheme="dark" if scheme == "dark" else "light")
    chromium.open(site[1] + "/")
    assert chromium.tell(CONTRAST.replace("PAIRS", json.dumps(PAIRS))) >= 4.5


CONTRAST = """(() => {
  const style = getComputedStyle(document.documentElement);
  const parse = name => {
    const probe = document.createElement('i');
    probe.style.color = style.getPropertyValue(name);
    document.body.append(probe);
    const rgb = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    return rgb;
  };
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = rgb => rgb.reduce((sum, v, i) => sum + linear(v / 255) * [.2126, .7152, .0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(parse(a)), light(parse(b))].sort((p, q) => q - p);
    return (x + .05) / (y + .05);
  };
  return Math.min(...PAIRS.map(([a, b]) => ratio(a, b)));
})()"""
PAIRS = [
    ["--ink", "--page"], ["--soft", "--page"], ["--soft", "--card"], ["--soft", "--sunk"], ["--accent", "--page"],
    ["--accent", "--card"], ["--good", "--good-soft"], ["--bad", "--bad-soft"], ["--warn", "--warn-soft"],
    ["--card", "--accent"],
]  # fmt: skip
"""Colours of text, and of what is behind it."""


def test_what_is_live_is_renewed_without_a_reload(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    chromium.look(1280)
    chromium.open(address + "/ledger")
    chromium.tell("window.stayed = true")
    platform.call("experiments.create", {"name": "while_one_looks"})
    until = time.monotonic() + 20
    while "while_one_looks" not in chromium.tell("document.querySelector('#entries').textContent"):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert chromium.tell("window.stayed") is True


def test_the_keyboard_reaches_the_content_first(site: tuple[Platform, str], chromium: Browser) -> None:
    chromium.look(1280)
    chromium.open(site[1] + "/")
    assert chromium.tell("document.querySelector('a').getAttribute('href')") == "#main"
    chromium.tell("document.querySelector('a').focus()")
    assert chromium.tell("document.querySelector('a').getBoundingClientRect().left") >= 0


def test_links_that_mlflows_client_prints_lead_to_our_pages(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, url = site
    run = platform.call("runs.search", {})[0].id
    for printed, page in {
        f"#/experiments/0/runs/{run}": f"/runs/{run}",
        "#/experiments/0": "/runs",
        "#/models/late/versions/1": "/models/late/versions/1",
    }.items():
        chromium.open(f"{url}/")
        chromium.open(f"{url}/?{page}{printed}")
        deadline = time.monotonic() + 20
        while chromium.tell("location.pathname") != page and time.monotonic() < deadline:
            time.sleep(0.05)
        assert chromium.tell("location.pathname") == page
