"""Compaction: the same predictions in another form, each of them once at any moment."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import Conflict
from everloop.serving import compaction
from everloop.serving.entities import Compaction, LogPolicy
from everloop.serving.inferencelog import LogReader
from everloop.serving.requestindex import RequestIndex
from everloop.serving.segments import Position
from tests.serving.conftest import HOUR, World, plain


@pytest.fixture
def folder(world: World) -> Path:
    """The log of an endpoint that has answered 60 requests on three days and was stopped."""
    world.register(constant=0.1, factor=0.01)
    world.create(label_key="flight_id")
    answer(world, 0, 60)
    return world.platform.resources.home / "inference" / "default" / "delay"


def answer(world: World, start: int, stop: int) -> None:
    """Requests of two rows, by a process of their own."""
    predictor = world.predictor()
    for number in range(start, stop):
        keys = np.array([f"a{number}", f"b{number}"], dtype=object)
        moment = HOUR + timedelta(hours=number)
        predictor.predict(plain(number, number + 0.5) | {"flight_id": keys}, f"r{number}", moment)
    predictor.close()


def reader(world: World) -> LogReader:
    return LogReader(world.platform.resources.home, "default", "delay")


def ids(log: LogReader, position: Position = Position()) -> list[str]:
    return [one for batch in log.since(position)[0] for one in batch.column("prediction_id").to_pylist()]


def compact(world: World) -> Compaction:
    done = world.call("endpoints.compact_log", name="delay")
    assert isinstance(done, Compaction)
    return done


def test_compacted_predictions_are_the_same_in_the_same_order(world: World, folder: Path) -> None:
    before = [row for batch in reader(world).since()[0] for row in batch.to_pylist()]
    done = compact(world)
    assert (done.segments, done.rows) == (1, 120)
    assert [row for batch in reader(world).since()[0] for row in batch.to_pylist()] == before
    assert not list(folder.glob("*.arrows"))


def test_a_file_for_each_day_lies_under_its_date(world: World, folder: Path) -> None:
    compact(world)
    days = sorted(path.parent.name for path in folder.glob("date=*/*.parquet"))
    assert days == ["date=2026-01-01", "date=2026-01-02", "date=2026-01-03"]


def test_duckdb_and_polars_read_the_files_as_they_are(world: World, folder: Path) -> None:
    import duckdb
    import polars

    compact(world)
    pattern = f"{folder}/date=*/*.parquet"
    query = "SELECT date::VARCHAR, count(*), count(DISTINCT prediction_id) FROM read_parquet(?, hive_partitioning=true)"
    found = duckdb.execute(query + " GROUP BY 1 ORDER BY 1", [pattern]).fetchall()
    assert found == [("2026-01-01", 48, 48), ("2026-01-02", 48, 48), ("2026-01-03", 24, 24)]
    assert polars.read_parquet(pattern)["output"].len() == 120


def test_what_is_being_written_is_left_alone(world: World, folder: Path) -> None:
    predictor = world.predictor()
    predictor.predict(plain(1.0) | {"flight_id": np.array(["x"], dtype=object)})
    assert compact(world).segments == 1
    assert len(list(folder.glob("*.arrows"))) == 1
    assert len(ids(reader(world))) == 121
    predictor.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_reader_goes_on_where_it_was_whatever_was_compacted_meanwhile(
    world: World, folder: Path, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    home = tmp_path_factory.mktemp("copy")
    shutil.copytree(folder, home / "inference" / "default" / "delay")
    log = LogReader(home, "default", "delay")
    records, _ = log.places(Position())
    seen = round(share * len(records))
    position = Position().past(records[seen - 1][0]) if seen else Position()
    compaction.compact(home, "default", world.call("endpoints.get", name="delay"), HOUR)  # type: ignore[arg-type]  # It is an endpoint.
    rest = [one for _, batch in records[seen:] for one in batch.column("prediction_id").to_pylist()]
    for again in (log, LogReader(home, "default", "delay")):
        assert ids(again, position) == rest


def test_a_poll_after_the_archive_finds_nothing_new(world: World, folder: Path) -> None:
    log = reader(world)
    compact(world)
    _, end = log.since()
    assert log.since(end) == ([], end)
    answer(world, 60, 61)
    assert len(ids(log, end)) == 2


@pytest.mark.parametrize(
    ("step", "call"),
    [("_write", 1), ("_write", 3), ("_put", 1), *(("_settle", call) for call in (1, 2, 5, 6, 7)), ("_sync", 13)],
)
def test_killed_anywhere_each_prediction_is_seen_once(world: World, folder: Path, step: str, call: int) -> None:
    before = ids(reader(world))
    child = os.fork()
    if not child:
        _killing(step, call)
        compaction.compact(
            world.platform.resources.home,
            "default",
            world.call("endpoints.get", name="delay"),  # type: ignore[arg-type]  # It is an endpoint.
            HOUR,
        )
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert ids(reader(world)) == before
    compact(world)
    assert ids(reader(world)) == before
    assert not list(folder.glob("*.arrows"))
    assert sum(1 for _ in folder.glob("date=*/*.parquet")) == 3


def _killing(step: str, call: int) -> None:
    """Make a step of the compaction end the process at one of its calls, after it was done."""
    whole, calls = getattr(compaction, step), [0]

    def dying(*arguments: object) -> object:
        calls[0] += 1
        done = whole(*arguments)
        if calls[0] == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(compaction, step, dying)


def test_a_prediction_is_found_by_its_id_and_by_its_key(world: World, folder: Path) -> None:
    compact(world)
    answer(world, 60, 62)
    wanted = ids(reader(world))
    for one in (wanted[0], wanted[77], wanted[-1]):
        found = reader(world).find(one)
        assert found is not None
        assert found.id == one
    assert [found.key for found in reader(world).of_key("b7")] == ["b7"]
    assert [found.key for found in reader(world).of_key("a61")] == ["a61"]
    assert reader(world).of_key("nobody") == []
    assert reader(world).find("0" * 32 + "-0") is None


def test_pages_go_back_through_the_archive(world: World, folder: Path) -> None:
    expected = ids(reader(world))[::-1]
    compact(world)
    seen: list[str] = []
    while page := world.call("endpoints.predictions", name="delay", limit=50, before=seen[-1] if seen else ""):
        seen += [record.id for record in page]  # type: ignore[attr-defined]  # It is a list of records.
    assert seen == expected


def test_a_retried_request_gets_its_answer_out_of_the_archive(world: World, folder: Path) -> None:
    predictor = world.predictor()
    compact(world)
    keys = np.array(["a3", "b3"], dtype=object)
    for one in (predictor, world.predictor()):
        again = one.predict(plain(3, 3.5) | {"flight_id": keys}, "r3")
        assert again.replayed
        assert again.outputs.tolist() == pytest.approx([0.13, 0.135])


def test_days_past_retention_go_and_the_rest_stays(world: World, folder: Path) -> None:
    compact(world)
    world.call("endpoints.set_log_policy", name="delay", policy=LogPolicy(retention_days=1))
    world.platform.resources.clock.advance(HOUR + timedelta(days=2, hours=5))  # type: ignore[attr-defined]  # It is simulated.
    assert [path.split("/")[0] for path in compact(world).removed] == ["date=2026-01-01"]
    assert len(ids(reader(world))) == 72
    assert not (folder / "date=2026-01-01").is_dir() or not list((folder / "date=2026-01-01").iterdir())
    assert compact(world) == Compaction(0, 0, 0, ())


def test_two_compactions_at_once_are_one(world: World, folder: Path) -> None:
    endpoint = world.call("endpoints.get", name="delay")
    with compaction._alone(folder), pytest.raises(Conflict, match="being compacted"):
        compaction.compact(world.platform.resources.home, "default", endpoint, HOUR)  # type: ignore[arg-type]  # It is one.


def test_an_index_that_starts_anew_passes_over_what_is_old(world: World, folder: Path) -> None:
    compact(world)
    answer(world, 60, 63)
    found, position = reader(world).places(Position(), 2)
    assert sum(batch.num_rows for _, batch in found) == 6
    assert reader(world).since(position)[0] == []
    assert isinstance(RequestIndex(reader(world)), RequestIndex)
