"""Tracking and pipelines say the same on both databases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.tracking.index.expressions import Condition, Operator, Ordering, Search
from everloop.tracking.index.searching import found
from tests.servers import postgresql


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    with postgresql() as server:
        yield f"{server}/postgres"


@pytest.fixture
def platform(url: str, tmp_path: Path) -> Iterator[Platform]:
    settings = {"home": str(tmp_path / "home"), "database_url": url or None, "project": tmp_path.name[-40:]}
    opened = open_platform(load(settings, environment={}, folder=tmp_path))
    yield opened
    opened.close()


def test_a_search_finds_and_orders_alike(platform: Platform) -> None:
    for name, auc in {"a": 0.9, "b": 0.7, "c": math.nan}.items():
        run = platform.call("runs.start", {"experiment": "trial", "name": name, "parameters": {"kind": f"gbm-{name}"}})
        platform.call("runs.log", {"id": run.id, "metrics": [{"key": "auc", "value": auc}]})
    found = platform.call("runs.search", {"where": "parameters.kind like 'gbm%'", "order": "metrics.auc desc"})
    assert [run.name for run in found] == ["a", "b", "c"]
    assert math.isnan(found[2].metrics["auc"])
    assert [run.name for run in platform.call("runs.search", {"where": "parameters.kind ilike 'GBM_A'"})] == ["a"]
    assert [run.name for run in platform.call("runs.search", {"where": "metrics.auc >= 0.9"})] == ["a"]
    assert [point.value for point in platform.call("runs.history", {"id": found[0].id, "key": "auc"})] == [0.9]


def test_a_pipeline_is_remembered_alike(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "both.py").write_text(
        "import everloop as el\n@el.step\ndef work(x: int): return x, float(x)\n"
        "@el.pipeline\ndef fit(x: int): return work(x)\n"
    )
    definition = {"name": "fit", "target": "both:fit", "folder": str(tmp_path)}
    platform.call("pipelines.apply", {"definitions": [definition]})
    runs = [platform.call("pipelines.run", {"name": "fit", "arguments": {"x": 2}}) for _ in range(2)]
    assert [run.executed for run in runs] == [["work"], []]
    assert platform.call("pipelines.executions", {"pipeline": "fit"})[0] == runs[1]
    assert runs[1].output == [2, 2.0]


@pytest.mark.parametrize(
    ("operator", "value", "names"),
    [
        ("like", "gbm%", ["gbm-a"]),
        ("ilike", "gbm%", ["GBM (b)", "gbm-a"]),
        ("like", "_BM (b)", ["GBM (b)"]),
        ("in", ("gbm-a", "x"), ["gbm-a"]),
        ("not in", ("gbm-a", "x"), ["GBM (b)"]),
    ],
)
def test_patterns_and_lists_select_alike(
    platform: Platform, operator: Operator, value: str | tuple[str, ...], names: list[str]
) -> None:
    for kind in ("gbm-a", "GBM (b)"):
        platform.call("runs.start", {"experiment": "trial", "name": kind, "parameters": {"kind": kind}})
    wanted = Search(
        conditions=(Condition("parameter", "kind", operator, value),), orders=(Ordering("attribute", "name", False),)
    )
    with platform.session().begin(write=False) as unit:
        rows, _ = found(unit, wanted)
    assert sorted(row.name for row in rows) == names
