"""Journals: what was written is read back, whatever a crash did to the end of the file."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.tracking.journals import locks
from everloop.tracking.journals.journal import Journal, entries, framed, journals, lock_of
from everloop.tracking.journals.records import Begun, Ended, Kept, Measured, Noted, Printed, Recorded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
texts = st.text(max_size=20)
records = st.one_of(
    st.builds(Measured, st.binary(max_size=200), st.integers(0, 9)),
    st.builds(Noted, st.dictionaries(texts, texts, max_size=3), st.dictionaries(texts, texts, max_size=3)),
    st.builds(Kept, texts, texts, st.integers(0, 1 << 40)),
    st.builds(Printed, texts),
    st.just(Begun("r", "p", "e", "n", NOW)),
    st.just(Ended("finished", NOW)),
)


def read(path: Path, start: int = 0, *, whole: bool = False) -> list[Recorded]:
    return [entry.record for entry in entries(path, start, whole=whole)]


def test_what_was_written_is_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append([Printed("one"), Noted({"rate": "0.1"})])
    journal.append([Measured(b"points", 3)])
    assert read(journal.path) == [Printed("one"), Noted({"rate": "0.1"}), Measured(b"points", 3)]
    journal.close()


def test_reading_goes_on_from_where_an_entry_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append([Printed("one"), Printed("two"), Printed("three")])
    first = next(entries(journal.path))
    assert read(journal.path, first.end) == [Printed("two"), Printed("three")]
    journal.close()


@given(st.lists(records, max_size=8), st.data())
def test_a_torn_end_costs_the_torn_record_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, written: list[Recorded], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "w.journal"
    whole = framed(written)
    kept = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:kept])
    found = read(path)
    assert found == written[: len(found)]
    assert len(found) == len(written) or len(framed(written[: len(found) + 1])) > kept


@given(st.lists(records, min_size=3, max_size=6), st.data())
def test_behind_a_damaged_record_the_others_are_found(
    tmp_path_factory: pytest.TempPathFactory, written: list[Recorded], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "w.journal"
    hurt = data.draw(st.integers(0, len(written) - 2))
    start, end = len(framed(written[:hurt])), len(framed(written[: hurt + 1]))
    at = data.draw(st.integers(start, end - 1))
    whole = bytearray(framed(written))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    assert read(path, whole=True) == written[:hurt] + written[hurt + 1 :]


def test_a_journal_that_is_still_written_is_read_up_to_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "w.journal"
    data = framed([Printed("one"), Printed("two")])
    path.write_bytes(data[:-1])
    assert read(path) == [Printed("one")]
    path.write_bytes(data)
    assert read(path) == [Printed("one"), Printed("two")]


def test_a_full_disk_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "w")
    journal.append([Printed("one")])
    original = os.write

    def half(file: int, data: memoryview) -> int:
        original(file, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.append([Printed("two")])
    monkeypatch.setattr(os, "write", original)
    journal.append([Printed("three")])
    assert read(journal.path) == [Printed("one"), Printed("three")]
    journal.close()


def test_who_writes_a_journal_holds_its_lock_until_it_is_closed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    assert not locks.is_free(lock_of(journal.path))
    journal.close()
    assert locks.is_free(lock_of(journal.path))


def test_journals_are_listed_as_they_were_begun(tmp_path: Path) -> None:
    for name in ("02", "01", "03"):
        (tmp_path / f"{name}.journal").touch()
    assert [path.stem for path in journals(tmp_path)] == ["01", "02", "03"]
