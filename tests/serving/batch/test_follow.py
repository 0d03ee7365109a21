"""Streams that are followed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.backends.streams.file import FolderResults
from everloop.serving.batch.follow import Followed, following
from everloop.serving.batch.predict import Asked
from tests.serving.batch.conftest import Batches
from tests.serving.conftest import World


def follow(world: World, log: Path, out: Path) -> Followed:
    """Everything that is there now."""
    session = world.platform.session()
    with session.activate(), following(session, Asked("delay", "", str(log)), str(out)) as follower:
        while follower.step(0.0):
            pass
        return follower.now


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in sorted(out.glob("part-*")) for line in path.read_text().splitlines()]


def put(log: Path, *lines: object) -> None:
    with log.open("a") as file:
        file.write("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


def flight(n: int) -> dict[str, object]:
    return {"id": n, "x": n, "carrier": "AA"}


def test_each_record_is_predicted_with_what_it_brings_along(batches: Batches) -> None:
    log, out = batches.folder / "log.jsonl", batches.folder / "out"
    put(log, flight(1), flight(2))
    assert follow(batches.world, log, out).records == 2
    assert rows(out) == [{"id": n, "prediction": 0.5 + 0.25 * n, "model_version": 1} for n in (1, 2)]


def test_who_comes_back_goes_on_where_the_results_end(batches: Batches) -> None:
    log, out = batches.folder / "log.jsonl", batches.folder / "out"
    put(log, flight(1))
    follow(batches.world, log, out)
    put(log, flight(2), flight(3))
    assert follow(batches.world, log, out).records == 2
    assert [row["id"] for row in rows(out)] == [1, 2, 3]


@pytest.mark.parametrize("line", ["{", "[1]", '{"x": 1}', '{"x": "much", "carrier": "AA"}', '{"x": 1, "carrier": 2}'])
def test_a_bad_record_is_put_aside_and_the_others_go_on(batches: Batches, line: str) -> None:
    log, out = batches.folder / "log.jsonl", batches.folder / "out"
    put(log, flight(1), line, flight(2))
    found = follow(batches.world, log, out)
    assert (found.records, found.refused, found.lag) == (3, 1, 0)
    assert [row["id"] for row in rows(out)] == [1, 2]
    (aside,) = (out / "_refused").iterdir()
    assert json.loads(aside.read_text())["record"] == line


def test_records_that_the_model_fails_on_are_put_aside(batches: Batches) -> None:
    batches.world.register(constant=0.0, factor=1.0, nan_over=1.5)
    log, out = batches.folder / "log.jsonl", batches.folder / "out"
    put(log, flight(1), flight(2))
    assert follow(batches.world, log, out).refused == 1
    assert [row["id"] for row in rows(out)] == [1]


def test_features_are_those_of_the_moment_when_a_record_came(world: World, service: str, tmp_path: Path) -> None:
    world.register(service=service, input="airport_weather.wind", factor=1.0)
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    put(log, {"origin": "JFK", "distance": 1.0}, {"origin": "LGA", "distance": 2.0})
    follow(world, log, out)
    assert [row["prediction"] for row in rows(out)] == [10.0, 20.0]


class Killed(BaseException):
    """What a kill looks like from inside."""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6), kills=st.lists(st.integers(0, 5), max_size=6))
def test_whatever_is_killed_when_each_record_is_answered_once(
    batches: Batches, sizes: list[int], kills: list[int]
) -> None:
    folder = batches.folder / f"run{len(list(batches.folder.iterdir()))}"
    folder.mkdir()
    log, out, number = folder / "log.jsonl", folder / "out", 0
    write = FolderResults.write
    for at, size in enumerate(sizes):
        put(log, *(flight(number + n) for n in range(size)))
        number += size
        FolderResults.write = _killing(write, at in kills, at % 2 == 0)
        try:
            follow(batches.world, log, out) if log.exists() else None
        except Killed:
            pass
        finally:
            FolderResults.write = write
    follow(batches.world, log, out) if log.exists() else None
    assert [row["id"] for row in rows(out)] == list(range(number))


def _killing(write: object, kills: bool, before: bool) -> object:
    """A write that is killed just before its commit, or just after it."""

    def killed(self: FolderResults, *arguments: object) -> None:
        if kills and before:
            raise Killed
        write(self, *arguments)
        if kills:
            raise Killed

    return killed
