"""The inference log: where it lies, and what is found in it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.serving.inferencelog import LogReader, folder_of, schema_of
from everloop.serving.segments import Position, SegmentReader
from tests.serving.conftest import World, plain


@pytest.fixture
def reader(world: World) -> LogReader:
    """The log of an endpoint with one prediction in each of three months."""
    world.register()
    world.create()
    predictor = world.predictor()
    for _ in range(3):
        predictor.predict(plain(1.0, 2.0))
        world.platform.resources.clock.advance(world.platform.resources.clock.now() + timedelta(days=31))
    return LogReader(world.platform.resources.home, "default", "delay")


def test_the_log_of_an_endpoint_has_a_folder_of_its_own(home: Path) -> None:
    assert folder_of(home, "default", "delay") == home / "inference" / "default" / "delay"


@pytest.mark.parametrize("name", ["..", "a/b", "", "/etc", "a\0b", "delay\n"])
def test_a_name_never_leads_out_of_the_home(home: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a name"):
        folder_of(home, name, "delay")
    with pytest.raises(InvalidInput, match="is not a name"):
        folder_of(home, "default", name)


def test_numbers_are_logged_as_floats_and_strings_as_strings() -> None:
    schema = schema_of([Field("n", "int64"), Field("flag", "bool"), Field("s", "string")], ["origin"])
    assert [str(schema.field(f"feature:{name}").type) for name in ("n", "flag", "s")] == ["double", "double", "string"]
    assert str(schema.field("entity:origin").type) == "string"


def test_every_month_has_a_segment(reader: LogReader, home: Path) -> None:
    assert len(list(folder_of(home, "default", "delay").glob("*.arrows"))) == 3


def test_a_prediction_is_found_without_reading_later_segments(
    reader: LogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reader.since()[0][0].column("prediction_id")[1].as_py()
    opened: list[str] = []
    batches = SegmentReader.batches
    monkeypatch.setattr(
        SegmentReader, "batches", lambda self, name, at=0: (opened.append(name), batches(self, name, at))[1]
    )
    found = reader.find(first)
    assert found is not None
    assert (found.id, len(opened)) == (first, 1)


def test_what_is_no_prediction_id_is_not_looked_for(reader: LogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SegmentReader, "segments", lambda self: pytest.fail("it read the log"))
    assert reader.find("nothing") is None


def test_the_newest_predictions_come_first(reader: LogReader) -> None:
    ids = [row for batch in reader.since()[0] for row in batch.column("prediction_id").to_pylist()]
    assert [record.id for record in reader.newest(4)] == ids[:1:-1]


def test_places_pass_over_old_segments_once_there_are_enough(reader: LogReader) -> None:
    found, position = reader.places(Position(), enough=1)
    assert len(found) == 1
    assert reader.since(position) == ([], position)
