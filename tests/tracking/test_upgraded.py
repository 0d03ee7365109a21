"""Runs of a home that an earlier version made are had as before, on both databases."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, text

from everloop.app import areas, backends
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog import migrations
from everloop.tracking.entities import MetricPoint
from tests.servers import postgresql

pytestmark = pytest.mark.slow
OLDER = "0005"
RUN, BARE = f"{1:032x}", f"{2:032x}"
POINTS = 5_000
AT = 1_795_370_366_208_798


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A home of an earlier version with two runs in it, opened by this version."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield from opened(folder, f"sqlite:///{folder / 'home' / 'catalog.db'}")
        return
    with postgresql() as server:
        yield from opened(folder, f"{server}/postgres")


def opened(folder: Path, url: str) -> Iterator[Platform]:
    areas.load_all()
    (folder / "home").mkdir()
    database = backends.load("databases", url.partition(":")[0])(url)
    with database.engine.begin() as connection:
        command.upgrade(migrations.configuration(connection), OLDER)
        make(connection)
    database.close()
    platform = open_platform(load({"home": str(folder / "home"), "database_url": url}, environment={}, folder=folder))
    yield platform
    platform.close()


def make(connection: Connection) -> None:
    """A run with values of each kind and many points, and one with nothing, as that version kept them."""
    connection.execute(
        text("INSERT INTO experiments VALUES ('default', 'trial', '', :at, '', '{}', '', NULL)"), {"at": AT}
    )
    started = text(
        "INSERT INTO runs (project, id, experiment, name, status, inputs, code, environment, started, ended, parent)"
        " VALUES ('default', :id, 'trial', :name, :status, '[\"dataset:default/flights@1\"]', '{}', '', :at, NULL, '')"
    )
    for id, status in ((RUN, "finished"), (BARE, "running")):
        connection.execute(started, {"id": id, "name": status, "status": status, "at": AT})
    value = text("INSERT INTO run_values VALUES ('default', :run, :kind, :key, :text, NULL, :step, :at, :points)")
    for kind, key, said, step, points in (
        ("parameter", "rate", "0.1", 0, 1),
        ("tag", "mlflow.user", "ann", 0, 1),
        ("metric", "auc", "0.5", POINTS + 1, POINTS + 2),
        ("metric", "loss", "nan", 3, 1),
    ):
        row = {"run": RUN, "kind": kind, "key": key, "text": said, "step": step, "at": AT, "points": points}
        connection.execute(value, row)
    block(connection, "auc", 0, [(step, AT + step, step / 7) for step in range(POINTS)])
    block(connection, "auc", POINTS, [(POINTS, AT + POINTS, math.inf), (POINTS + 1, AT + POINTS, 0.5)])
    block(connection, "loss", 0, [(3, AT, math.nan)])


def block(connection: Connection, key: str, first: int, points: list[tuple[int, int, float]]) -> None:
    """A block of points as that version kept them."""
    count = len(points)
    steps, times, values = zip(*points, strict=True)
    connection.execute(
        text("INSERT INTO metric_blocks VALUES ('default', :run, :key, :first, :count, :points)"),
        {"run": RUN, "key": key, "first": first, "count": count}
        | {"points": struct.pack(f"<{count}q{count}q{count}d", *steps, *times, *values)},
    )


def history(platform: Platform, key: str) -> list[MetricPoint]:
    found: list[MetricPoint] = platform.call("runs.history", {"id": RUN, "key": key})
    return found


def test_a_run_has_its_texts_and_latest_values(upgraded: Platform) -> None:
    run = upgraded.call("runs.get", {"id": RUN})
    assert (run.parameters, run.tags, run.user) == ({"rate": "0.1"}, {"mlflow.user": "ann"}, "ann")
    assert (run.status, run.inputs) == ("finished", ("dataset:default/flights@1",))
    assert (run.metrics["auc"], math.isnan(run.metrics["loss"])) == (0.5, True)


def test_every_point_is_there_in_order(upgraded: Platform) -> None:
    found = history(upgraded, "auc")
    assert [point.step for point in found] == list(range(POINTS + 2))
    assert [point.value for point in found] == [*(step / 7 for step in range(POINTS)), math.inf, 0.5]
    assert [repr(point.value) for point in history(upgraded, "loss")] == ["nan"]


def test_a_run_goes_on_where_it_was(upgraded: Platform) -> None:
    upgraded.call("runs.resume", {"id": RUN})
    upgraded.call("runs.log", {"id": RUN, "metrics": [{"key": "auc", "value": 0.75, "step": POINTS + 2}]})
    upgraded.call("runs.finish", {"id": RUN})
    assert [point.value for point in history(upgraded, "auc")[-2:]] == [0.5, 0.75]
    assert len(history(upgraded, "auc")) == POINTS + 3


def test_a_run_that_had_nothing_has_nothing(upgraded: Platform) -> None:
    run = upgraded.call("runs.get", {"id": BARE})
    assert (run.parameters, run.tags, run.metrics, run.status) == ({}, {}, {}, "running")
