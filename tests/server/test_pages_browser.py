"""Pages in a real Chromium: on a phone and on a desk, light and dark."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from everloop.app.platform import Platform
from tests.server.chromium import Browser, browser
from tests.server.conftest import served
from tests.server.storytelling import told

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, str]]:
    """A story, served on a port."""
    with told(tmp_path_factory.mktemp("story")) as platform, served(platform) as address:
        yield platform, address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def pages_of(platform: Platform) -> list[str]:
    """One page of each kind."""
    call = platform.call
    run, other = (each.id for each in call("runs.search", {"limit": 2}))
    execution = call("pipelines.executions", {})[0].id
    prediction = call("endpoints.predictions", {"name": "late", "limit": 1})[0].id
    rollout = call("rollouts.list", {})[0].id
    return [
        "/", "/datasets", "/datasets/evil", "/datasets/parcels", "/features", "/features/sorting",
        "/features/views/depots", "/pipelines", f"/executions/{execution}", "/runs", f"/runs/{run}",
        "/runs?group=status&show=duration", f"/runs/compare?run={run}&run={other}", "/runs/compare",
        "/runs?deleted=1", "/experiments", "/experiments?deleted=1", "/sweeps", "/traces",
        "/models", "/policies", "/webhooks",
        "/models/late/comparison",
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


def test_a_chart_follows_a_run_that_goes_on(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    run = running(platform, points=3)
    chromium.look(1280)
    chromium.open(f"{address}/runs/{run}")
    wait_for(chromium, f"{LABEL}.includes('3 points')")
    platform.call("runs.log", {"id": run, "metrics": [{"key": "loss", "value": 0.5, "step": 3}]})
    wait_for(chromium, f"{LABEL}.includes('4 points')")


def test_a_chart_is_zoomed_by_dragging_and_shows_the_whole_again(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    run = running(platform, points=100)
    chromium.look(1280)
    chromium.open(f"{address}/runs/{run}")
    wait_for(chromium, f"{LABEL}.includes('100 points')")
    chromium.tell(DRAG)
    wait_for(chromium, f"!{LABEL}.includes('100 points')")
    chromium.tell("document.querySelector('[data-plot] button').click()")
    wait_for(chromium, f"{LABEL}.includes('100 points')")


def test_the_keyboard_reads_values_off(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    run = running(platform, points=100)
    chromium.look(1280)
    chromium.open(f"{address}/runs/{run}")
    wait_for(chromium, f"{LABEL}.includes('100 points')")
    chromium.tell(
        "document.querySelector('.plotarea').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))"
    )
    assert chromium.tell("document.querySelector('.readout').textContent").startswith("step 5")


def test_smoothing_stays_in_the_address(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    chromium.look(1280)
    chromium.open(f"{address}/runs/{running(platform, points=100)}?smooth=0.9&axis=relative")
    assert chromium.tell("document.querySelector('form[data-plots]').elements.smooth.value") == "0.9"
    chromium.tell(SLIDE)
    assert chromium.tell("location.search") == "?smooth=0.5&axis=relative"
    wait_for(chromium, "document.querySelectorAll('[data-plot] path.pale').length === 1")


def test_parts_can_be_folded_and_runs_chosen(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    whole = running(platform, points=1)
    part = platform.call("runs.start", {"experiment": "watched", "parent": whole}).id
    chromium.look(1280)
    chromium.open(address + "/runs?experiment=watched")
    row = f"document.querySelector('tr[data-run=\"{part}\"]')"
    chromium.tell(f"document.querySelector('[data-fold=\"{whole}\"]').click()")
    assert chromium.tell(f"{row}.hidden") is True
    assert chromium.tell("document.querySelector('[data-needs=\"2\"]').disabled") is True
    chromium.tell("document.querySelectorAll('#runs input[name=run]').forEach(box => box.click())")
    assert chromium.tell("document.querySelector('[data-needs=\"2\"]').disabled") is False


def test_notes_are_kept_from_the_page(site: tuple[Platform, str], chromium: Browser) -> None:
    platform, address = site
    run = running(platform, points=1)
    chromium.look(1280)
    chromium.open(f"{address}/runs/{run}")
    chromium.tell("document.querySelector('form.act textarea').value = 'It *works*'")
    chromium.tell("document.querySelector('form.act').requestSubmit()")
    wait_for(chromium, "document.querySelector('.rendered')?.textContent.includes('works')")
    assert platform.call("runs.get", {"id": run}).note == "It *works*"


LABEL = "(document.querySelector('[data-plot] svg.plot')?.getAttribute('aria-label') ?? '')"
DRAG = """(area => {
  const box = area.getBoundingClientRect();
  area.setPointerCapture = () => {};
  for (const [kind, share] of [['down', .4], ['move', .5], ['up', .6]])
    area.dispatchEvent(new PointerEvent('pointer' + kind, { clientX: box.left + share * box.width, bubbles: true }));
})(document.querySelector('.plotarea'))"""
SLIDE = """(form => {
  form.elements.smooth.value = '0.5';
  form.elements.smooth.dispatchEvent(new Event('input', { bubbles: true }));
})(document.querySelector('form[data-plots]'))"""


def running(platform: Platform, points: int) -> str:
    """The id of a run that goes on, with so many points of a metric."""
    run: str = platform.call("runs.start", {"experiment": "watched"}).id
    metrics = [{"key": "loss", "value": 1 / (step + 1), "step": step} for step in range(points)]
    platform.call("runs.log", {"id": run, "metrics": metrics})
    return run


def wait_for(chromium: Browser, expression: str) -> None:
    until = time.monotonic() + 20
    while not chromium.tell(expression):
        assert time.monotonic() < until, expression
        time.sleep(0.2)
