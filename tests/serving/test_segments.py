"""Segments: what was acknowledged is read back, whatever happens to the end of a file."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted, Unavailable
from everloop.serving import segments
from everloop.serving.segments import Position, SegmentReader, SegmentWriter
from tests.examples import examples

NOW = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)


def batch(*values: int, name: str = "n") -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values, pa.int64()), "text": pa.array([f"row {value}" for value in values])})


def values(batches: list[pa.RecordBatch]) -> list[int]:
    return [value for found in batches for value in found.column(0).to_pylist()]


def everything(folder: Path) -> list[int]:
    return values(SegmentReader(folder).since(Position())[0])


@pytest.fixture
def writer(tmp_path: Path) -> SegmentWriter:
    return SegmentWriter(tmp_path)


def test_what_was_appended_is_read_in_order(writer: SegmentWriter, tmp_path: Path) -> None:
    writer.append([batch(1, 2)], NOW)
    writer.append([batch(3), batch(4, 5)], NOW)
    assert everything(tmp_path) == [1, 2, 3, 4, 5]


def test_a_reader_polls_only_what_is_new(writer: SegmentWriter, tmp_path: Path) -> None:
    reader = SegmentReader(tmp_path)
    writer.append([batch(1)], NOW)
    _, position = reader.since(Position())
    assert reader.since(position) == ([], position)
    writer.append([batch(2)], NOW)
    assert values(reader.since(position)[0]) == [2]


def test_a_position_survives_json_and_another_reader(writer: SegmentWriter, tmp_path: Path) -> None:
    writer.append([batch(1)], NOW)
    position = SegmentReader(tmp_path).since(Position())[1]
    kept = msgspec.json.decode(msgspec.json.encode(position), type=Position)
    writer.append([batch(2)], NOW)
    assert values(SegmentReader(tmp_path).since(kept)[0]) == [2]


def test_a_folder_that_is_not_there_is_an_empty_log(tmp_path: Path) -> None:
    assert SegmentReader(tmp_path / "nothing").since(Position()) == ([], Position())


def test_a_live_segment_is_an_arrow_stream_that_anybody_reads(writer: SegmentWriter, tmp_path: Path) -> None:
    writer.append([batch(1, 2), batch(3)], NOW)
    with pa.OSFile(str(next(tmp_path.iterdir()))) as file:
        assert pa.ipc.open_stream(file).read_all().column("n").to_pylist() == [1, 2, 3]


def test_closing_cuts_off_the_zeros(writer: SegmentWriter, tmp_path: Path) -> None:
    place = writer.append([batch(1)], NOW)[0]
    file = next(tmp_path.iterdir())
    assert file.stat().st_size == segments.STEP
    writer.close()
    assert file.stat().st_size == place.offset + place.size


def test_a_place_leads_back_to_its_batch(writer: SegmentWriter, tmp_path: Path) -> None:
    places = writer.append([batch(1), batch(2), batch(3)], NOW)
    assert values([SegmentReader(tmp_path).read(places[1])]) == [2]


def test_a_changed_schema_begins_a_segment(writer: SegmentWriter, tmp_path: Path) -> None:
    writer.append([batch(1)], NOW)
    writer.append([batch(2, name="m")], NOW)
    assert len(list(tmp_path.iterdir())) == 2
    assert everything(tmp_path) == [1, 2]


def test_a_new_month_begins_a_segment(writer: SegmentWriter, tmp_path: Path) -> None:
    writer.append([batch(1)], NOW)
    writer.append([batch(2)], NOW + timedelta(hours=1))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_full_segment_is_followed_by_another(
    writer: SegmentWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "LIMIT", 2_000)
    for number in range(20):
        writer.append([batch(number)], NOW)
    assert len(list(tmp_path.iterdir())) > 2
    assert everything(tmp_path) == list(range(20))


def test_batches_larger_than_a_step_fit(writer: SegmentWriter, tmp_path: Path) -> None:
    many = list(range(3 * segments.STEP // 8))
    writer.append([batch(*many)], NOW)
    writer.append([batch(-1)], NOW)
    assert everything(tmp_path) == [*many, -1]


def test_two_writers_of_one_moment_have_segments_of_their_own(tmp_path: Path) -> None:
    one, other = SegmentWriter(tmp_path), SegmentWriter(tmp_path)
    one.append([batch(1)], NOW)
    other.append([batch(2)], NOW)
    one.append([batch(3)], NOW)
    assert sorted(everything(tmp_path)) == [1, 2, 3]


def test_a_tail_torn_at_any_byte_hides_only_the_torn_record(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "whole")
    writer.append([batch(1), batch(2)], NOW)
    last = writer.append([batch(3)], NOW)[0]
    data = next((tmp_path / "whole").iterdir()).read_bytes()[: last.offset + last.size]
    folder = tmp_path / "torn"
    folder.mkdir()
    for length in range(last.offset, len(data) + 1):
        (folder / last.segment).write_bytes(data[:length])
        assert everything(folder) == ([1, 2] if length < len(data) else [1, 2, 3]), length


def test_a_record_of_which_only_some_bytes_reached_the_zeros_is_not_read(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    last = writer.append([batch(1), batch(2)], NOW)[-1]
    file = tmp_path / last.segment
    whole = file.read_bytes()
    for missing in range(last.offset, last.offset + last.size, 8):
        if whole[missing : missing + 8].strip(b"\0"):
            file.write_bytes(whole[:missing] + bytes(8) + whole[missing + 8 :])
            assert everything(tmp_path) == [1], missing


def test_the_next_writer_goes_on_after_a_torn_tail(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    last = writer.append([batch(1), batch(2)], NOW)[-1]
    os.truncate(tmp_path / last.segment, last.offset + last.size - 5)
    SegmentWriter(tmp_path).append([batch(3)], NOW)
    assert everything(tmp_path) == [1, 3]


def test_a_torn_schema_is_an_empty_segment(tmp_path: Path) -> None:
    first = SegmentWriter(tmp_path).append([batch(1)], NOW)[0]
    for length in range(0, first.offset, 7):
        os.truncate(tmp_path / first.segment, length)
        assert everything(tmp_path) == []


def test_a_record_that_changed_in_the_middle_is_named(tmp_path: Path) -> None:
    first, second = SegmentWriter(tmp_path).append([batch(1), batch(2)], NOW)
    data = bytearray((tmp_path / first.segment).read_bytes())
    data[second.offset - 20] ^= 1
    (tmp_path / first.segment).write_bytes(data)
    with pytest.raises(Corrupted, match=f"byte {first.offset} of {first.segment}"):
        everything(tmp_path)


def test_a_full_disk_loses_nothing_that_was_acknowledged(
    writer: SegmentWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append([batch(1)], NOW)
    write = os.pwrite

    def half(file: int, data: bytes, offset: int) -> int:
        if len(data) < 200:
            raise OSError(28, "No space left on device")
        return write(file, data[:150], offset)

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", half)
        with pytest.raises(Unavailable, match="No space left"):
            writer.append([batch(2)], NOW)
    assert everything(tmp_path) == [1]
    writer.append([batch(3)], NOW)
    assert everything(tmp_path) == [1, 3]


def test_after_a_failed_sync_the_records_are_written_elsewhere(
    writer: SegmentWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = writer.append([batch(1)], NOW)[0]
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", lambda file: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(Unavailable):
            writer.append([batch(2)], NOW)
    assert writer.append([batch(2)], NOW)[0].segment != first.segment
    assert everything(tmp_path) == [1, 2]


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), max_size=8), st.data())
def test_readers_that_poll_at_any_moment_read_each_row_once(turns: list[list[int]], data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        writer, reader, position, seen = SegmentWriter(Path(name)), SegmentReader(Path(name)), Position(), []
        for turn in turns:
            writer.append([batch(*turn)], NOW)
            if data.draw(st.booleans()):
                found, position = reader.since(position)
                seen += values(found)
        seen += values(reader.since(position)[0])
        writer.close()
    assert seen == [value for turn in turns for value in turn]


def test_a_segment_that_was_removed_is_read_as_gone(writer: SegmentWriter, tmp_path: Path) -> None:
    place = writer.append([batch(1)], NOW)[0]
    (tmp_path / place.segment).unlink()
    assert SegmentReader(tmp_path).read(place) is None
    assert everything(tmp_path) == []


KILLED = """
import sys
from datetime import datetime, UTC
from pathlib import Path
import pyarrow as pa
from everloop.serving.segments import SegmentWriter
writer, number = SegmentWriter(Path(sys.argv[1])), int(sys.argv[2])
while True:
    batch = pa.record_batch({"n": pa.array([number] * 2000, pa.int64()), "text": pa.array(["x" * 40] * 2000)})
    writer.append([batch], datetime(2026, 1, 1, tzinfo=UTC))
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    acknowledged = 0
    for attempt in range(5):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(acknowledged + 1)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20 + 7 * attempt):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        found = everything(tmp_path)
        assert set(found) >= set(range(1, acknowledged + 1))
        written_twice = len(found) // 2000 - len(set(found))  # Written, and killed before it could say so.
        assert len(found) % 2000 == 0
        assert 0 <= written_twice <= attempt


def test_segments_that_are_passed_over_end_at_their_last_record_not_at_the_zeros_after_it(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.append([batch(1)], NOW)
    other = SegmentWriter(tmp_path)
    other.append([batch(2)], NOW + timedelta(days=1))
    reader = SegmentReader(tmp_path)
    _, position = reader.placed(Position(), 1)
    writer.append([batch(3)], NOW)
    assert len(reader.since(position)[0]) == 1


def test_a_batch_that_cannot_be_encoded_leaves_nothing_of_its_company(writer: SegmentWriter, tmp_path: Path) -> None:
    writer.append([batch(1)], NOW)
    with pytest.raises(AttributeError):
        writer.append([batch(2), object()], NOW)  # type: ignore[list-item]  # What only a mistake hands in.
    writer.append([batch(3)], NOW)
    assert everything(tmp_path) == [1, 3]


def test_a_reader_has_enough_when_it_has_so_many_rows(tmp_path: Path) -> None:
    for day in range(3):
        writer = SegmentWriter(tmp_path)
        writer.append([batch(day), batch(day)], NOW + timedelta(days=day))
        writer.close()
    rows, position = SegmentReader(tmp_path).gathered(Position(), lambda place, found: found.num_rows, 3)
    assert len(rows) == 4
    assert SegmentReader(tmp_path).since(position)[0] == []


def test_a_reader_has_enough_when_it_has_read_as_much_as_a_segment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(3):
        SegmentWriter(tmp_path).append([batch(day)], NOW + timedelta(days=day))
    monkeypatch.setattr(segments, "LIMIT", 1)
    assert len(SegmentReader(tmp_path).placed(Position(), 1000)[0]) == 1


def test_nothing_is_read_of_segments_that_are_passed_over_and_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(2):
        writer = SegmentWriter(tmp_path)
        writer.append([batch(day)], NOW + timedelta(days=day))
        writer.close()
    reader, read, data = SegmentReader(tmp_path), [], SegmentReader._data
    monkeypatch.setattr(SegmentReader, "_data", lambda self, *of: (read.append(of[0]), data(self, *of))[1])
    reader.placed(Position(), 1)
    assert read == reader.segments()[1:]
