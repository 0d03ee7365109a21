"""Runs side by side, what explains a metric, and files and frames of runs."""

from __future__ import annotations

import io
import math
from random import Random
from typing import Any

import msgspec
import pytest

import everloop as el
from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, NotFound, Refused
from everloop.tracking import importance
from everloop.tracking.entities import CodeRevision, MetricPoint
from everloop.tracking.environment import capture
from everloop.tracking.importance import importances


def start(platform: Platform, name: str, parameters: dict[str, str], auc: float = 0.5, **more: Any) -> str:
    given = {"experiment": "trial", "name": name, "parameters": parameters} | more
    id: str = platform.call("runs.start", given).id
    platform.call("runs.log", {"id": id, "metrics": [MetricPoint("auc", auc)]})
    return id


def differences(platform: Platform, *ids: str, **more: object) -> dict[tuple[str, str], list[Any]]:
    made = platform.call("runs.compare", {"ids": ids} | more)
    return {(one.aspect, one.key): one.values for one in made.differences}


def test_a_comparison_leaves_out_what_is_equal(platform: Platform) -> None:
    runs = [start(platform, "a", {"rate": rate, "kind": "gbm"}) for rate in ("0.1", "0.2")]
    found = differences(platform, *runs)
    assert found == {("parameter", "rate"): ["0.1", "0.2"]}
    assert differences(platform, *runs, equal=True)["metric", "auc"] == [0.5, 0.5]


def test_what_only_one_run_has_differs(platform: Platform) -> None:
    runs = start(platform, "a", {"rate": "0.1"}, math.nan), start(platform, "a", {}, math.nan)
    assert differences(platform, *runs) == {("parameter", "rate"): ["0.1", None]}


def test_packages_and_environment_are_compared(platform: Platform) -> None:
    here = capture()
    there = msgspec.structs.replace(here, packages=here.packages | {"numpy": "0.1", "new": "1"}, python="3.99")
    runs = [start(platform, "a", {}, environment=environment) for environment in (here, there)]
    found = differences(platform, *runs)
    assert found["package", "numpy"] == [here.packages["numpy"], "0.1"]
    assert found["package", "new"] == [None, "1"]
    assert found["environment", "python"] == [here.python, "3.99"]


def test_uncommitted_changes_are_compared_as_a_diff(platform: Platform) -> None:
    digests = [platform.resources.store.put(text) for text in (b"rate = 1\n", b"rate = 2\n")]
    runs = [start(platform, "a", {}, code=CodeRevision("c0ffee", "main", True, digest)) for digest in digests]
    made = platform.call("runs.compare", {"ids": runs})
    assert "-rate = 1\n+rate = 2" in made.code[0]
    assert [one.key for one in made.differences if one.aspect == "code"] == ["diff_digest"]


def test_versions_of_data_are_compared_with_their_digests(platform: Platform) -> None:
    runs = []
    for data in (b"id\n1\n", b"id\n2\n"):
        digest = platform.resources.store.put(data)
        snapshot = platform.call("datasets.commit", {"name": "flights", "digest": digest, "format": "csv"})
        runs.append(start(platform, "a", {}))
        urn = f"dataset:default/flights@{snapshot.version}"
        platform.call("runs.log", {"id": runs[-1], "inputs": [urn]})
    one, two = differences(platform, *runs)["data", "dataset:default/flights"]
    assert one.startswith("version 1, digest ")
    assert two.startswith("version 2, digest ")
    assert one[10:] != two[10:]


def test_a_comparison_takes_two_runs_that_are_there(platform: Platform) -> None:
    run = start(platform, "a", {})
    with pytest.raises(InvalidInput, match="cannot be compared"):
        platform.call("runs.compare", {"ids": [run, run]})
    with pytest.raises(NotFound, match="no run"):
        platform.call("runs.compare", {"ids": [run, "0" * 32]})


@pytest.mark.parametrize("forest", [True, False])
def test_the_parameter_that_matters_is_the_most_important(forest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not forest:
        monkeypatch.setattr(importance, "find_spec", lambda _: None)
    random = Random(1)
    rates = [random.random() for _ in range(120)]
    kinds, noise = [random.choice("ab") for _ in rates], [str(random.random()) for _ in rates]
    values = [rate + (kind == "b") * 0.2 for rate, kind in zip(rates, kinds, strict=True)]
    given = {"noise": noise, "kind": kinds, "rate": [*map(str, rates)], "same": ["1"] * len(rates)}
    found = importances("auc", values, given)
    assert [one.parameter for one in found.parameters] == ["rate", "kind", "noise"]
    assert found.parameters[0].share > 0.5
    assert (found.parameters[0].correlation or 0) > 0.8
    assert found.parameters[1].correlation is None


def test_importance_needs_some_runs(platform: Platform) -> None:
    start(platform, "a", {"rate": "1"})
    with pytest.raises(Refused, match="say nothing"):
        platform.call("runs.importance", {"metric": "auc"})


def test_importance_is_of_the_runs_that_a_filter_finds(platform: Platform) -> None:
    for number in range(10):
        start(platform, "a", {"rate": str(number), "odd": str(number % 2)}, number / 10)
    start(platform, "other", {"rate": "x"}, 0.0)
    found = platform.call("runs.importance", {"metric": "auc", "where": "name = 'a'"})
    assert (found.runs, found.parameters[0].parameter) == (10, "rate")


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_a_file_has_the_chosen_columns(platform: Platform, format: str) -> None:
    import pandas as pd

    start(platform, "a,b", {"rate": "0.1"}, 0.25)
    start(platform, "c", {})
    columns = ["name", "metrics.auc", "parameters.*"]
    made = platform.call("runs.export", {"format": format, "columns": columns, "order": "name"})
    data = io.BytesIO(platform.resources.store.get(made.digest))
    frame = getattr(pd, f"read_{format}")(data)
    assert list(frame.columns) == ["name", "metrics.auc", "parameters.rate"]
    assert list(frame["name"]) == ["a,b", "c"]
    assert list(frame["metrics.auc"]) == [0.25, 0.5]
    assert (made.rows, made.total) == (2, 2)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_runs_come_as_a_frame(platform: Platform, kind: Any) -> None:
    for number in range(5):
        start(platform, f"r{number}", {"rate": str(number)}, number / 10)
    with platform.session().activate():
        frame = el.runs_frame("metrics.auc > 0.1", order="metrics.auc", columns=("name", "metrics.auc"), kind=kind)
    values = frame["metrics.auc"].to_pylist() if kind == "arrow" else list(frame["metrics.auc"])
    assert values == [0.2, 0.3, 0.4]


def test_a_frame_is_read_page_by_page(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    from everloop.sdk import frames

    monkeypatch.setattr(frames, "_PAGE", 2)
    for number in range(5):
        start(platform, f"r{number}", {f"p{number}": "x"})
    frame = el.runs_frame(order="name", platform=el.Everloop(platform), columns=("name", "parameters.*"))
    assert list(frame["name"]) == [f"r{number}" for number in range(5)]
    assert frame["parameters.p4"].notna().sum() == 1
    assert len(frame.columns) == 6


def test_a_table_says_its_columns_and_refuses_unknown_ones(platform: Platform) -> None:
    run = start(platform, "a", {"a b": "1"})
    made = platform.call("runs.table", {"columns": ["id, parameters.*", "duration,metrics.gone"]})
    assert made.columns == ["id", "parameters.`a b`", "duration", "metrics.gone"]
    assert made.rows == [[run, "1", None, None]]
    with pytest.raises(InvalidInput, match="size"):
        platform.call("runs.table", {"columns": ["size"]})
