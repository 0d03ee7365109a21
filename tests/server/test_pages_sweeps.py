"""Pages of sweeps: the list, and one with its best, its history and its trials."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from tests.conftest import unsynced
from tests.server.conftest import TestClient, client_of
from tests.server.test_pages import page_of

GOALS = """
import optuna

def bowl(trial):
    x, kind = trial.suggest_float("x", -3, 3), trial.suggest_categorical("kind", ["round", "flat"])
    if trial.number == 3:
        raise ValueError("no <b>bowl</b>")
    for step in range(3):
        trial.report(x * x + 1 / (step + 1), step)
    if trial.number == 4:
        raise optuna.TrialPruned
    return x * x

def two(trial):
    x = trial.suggest_float("x", 0, 2)
    return x * x, (x - 2) ** 2
"""
pytestmark = pytest.mark.xdist_group("page_sweeps")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with a sweep of one objective and one of two, and one that nobody has begun."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "page_goals.py").write_text(GOALS)
    platform = open_platform(load({"home": str(folder / "home")}, environment={}, folder=folder))
    unsynced(platform)
    sys.path.insert(0, str(folder))
    for name, directions in (("bowl", ["minimize"]), ("two", ["minimize", "minimize"])):
        made(platform, folder, name, directions)
        platform.call("sweeps.resume", {"name": name})
    made(platform, folder, "bowl", ["maximize"], called="waits")
    yield platform
    platform.close()
    sys.modules.pop("page_goals", None)


def made(platform: Platform, folder: Path, name: str, directions: list[str], called: str = "") -> None:
    objectives = ["objective"] if len(directions) == 1 else ["left", "right"]
    definition: dict[str, Any] = {
        "target": f"page_goals:{name}",
        "folder": str(folder),
        "objectives": objectives,
        "search": {"sampler": "random", "seed": 1},
        "budget": {"trials": 10},
    }
    given = {"name": called or name, "definition": definition, "directions": directions}
    platform.call("sweeps.create", given)


@pytest.fixture(scope="module")
def browsing(swept: Platform) -> Iterator[TestClient]:
    with client_of(swept) as client:
        yield client


@pytest.fixture(scope="module")
def bowl(browsing: TestClient) -> str:
    return page_of(browsing, "/sweeps/bowl")


def rows_of(html: str) -> list[int]:
    """The numbers of the trials in the table, in its order."""
    return [int(number) for number in re.findall(r'<th scope="row"><a href="/runs/\w+">(\d+)</a>', html)]


def drawn(html: str) -> Any:
    return json.loads(unescape(re.findall(r'data-values="([^"]*)"', html)[0]))


def test_the_list_says_how_far_each_sweep_is_and_what_it_found(browsing: TestClient, swept: Platform) -> None:
    html = page_of(browsing, "/sweeps")
    assert "8 complete" in html
    assert "1 pruned" in html
    assert f"{swept.call('sweeps.get', {'name': 'bowl'}).values[0]:.4g}" in html
    assert "trade-offs" in html


def test_the_best_trial_leads_the_table_and_its_run(bowl: str, swept: Platform) -> None:
    (best,) = swept.call("sweeps.best", {"name": "bowl"})
    assert rows_of(bowl)[0] == best.number
    assert f'href="/runs/{best.run}"' in bowl


def test_trials_can_be_listed_the_newest_first(browsing: TestClient) -> None:
    assert rows_of(page_of(browsing, "/sweeps/bowl?order=number")) == list(range(9, -1, -1))


def test_a_trial_says_where_it_was_pruned_or_why_it_failed(bowl: str) -> None:
    assert "after step 2" in bowl
    assert "ValueError: no &lt;b&gt;bowl" in bowl


def test_the_history_and_what_trials_reported_are_drawn(bowl: str) -> None:
    assert "best so far" in bowl
    assert len(re.findall(r'<path class="line (?:one|chosen)"', bowl)) == 8
    assert len(re.findall(r'<path class="line pruned"', bowl)) == 1


def test_the_picture_of_parameters_holds_the_complete_trials(bowl: str) -> None:
    told = drawn(bowl)
    assert list(told["columns"]) == ["x", "kind", "objective"]
    assert len(told["names"]) == 8
    assert set(told["columns"]["kind"]) == {"round", "flat"}


def test_two_objectives_stand_against_each_other(browsing: TestClient, swept: Platform) -> None:
    html = page_of(browsing, "/sweeps/two")
    assert "right over left" in html
    assert "best so far" not in html
    assert html.count('<span class="badge good">best</span>') == len(swept.call("sweeps.best", {"name": "two"}))


def test_a_sweep_without_trials_says_how_to_begin(browsing: TestClient) -> None:
    assert "<code>everloop sweeps resume waits</code>" in page_of(browsing, "/sweeps/waits")


def test_the_run_of_a_sweep_is_found_from_its_page(browsing: TestClient, swept: Platform, bowl: str) -> None:
    run = swept.call("sweeps.get", {"name": "bowl"}).run
    assert f'href="/runs/{run}"' in bowl
    assert page_of(browsing, f"/runs/{run}")


def test_without_optuna_the_list_says_what_to_install(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop.pipelines.sweeps.service.find_spec", lambda name: None)
    assert importlib.util.find_spec("optuna")
    assert "pip install &#39;everloop[sweeps]&#39;" in page_of(http, "/sweeps")


def test_a_sweep_that_there_is_not_is_said_to_be_none(http: TestClient) -> None:
    assert "none" in page_of(http, "/sweeps/none", 404)
