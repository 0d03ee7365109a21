"""The thread that writes the journal, also where the disk is full."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from everloop.sdk.recording import writer as module
from everloop.sdk.recording.writer import Writer
from everloop.tracking.journals import locks
from everloop.tracking.journals.journal import entries, journals, lock_of
from everloop.tracking.journals.records import Measured, Noted, Recorded
from everloop.tracking.points import metric_points, unpack


class Told(list[str]):
    """Warnings, by what they are about."""

    def __call__(self, about: str, message: str) -> None:
        self.append(about)


def written(folder: Path) -> list[Recorded]:
    return [entry.record for journal in journals(folder) for entry in entries(journal)]


def values(folder: Path) -> list[float | None]:
    segments = [record.segment for record in written(folder) if isinstance(record, Measured)]
    return [point.value for segment in segments for point in metric_points(unpack(segment))]


def test_what_was_logged_is_in_the_journal_after_a_flush(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Told())
    writer.pending.append(("loss", 0.5, None, 0.0))
    writer.flush()
    assert values(tmp_path) == [0.5]
    writer.close()


def test_a_full_journal_is_closed_and_the_next_stands_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FULL", 100)
    writer = Writer(tmp_path, Told())
    for value in range(5):
        writer.pending.append(("loss", float(value), None, 0.0))
        writer.flush()
    assert len(journals(tmp_path)) > 2
    assert values(tmp_path) == [0, 1, 2, 3, 4]
    assert [locks.is_free(lock_of(journal)) for journal in journals(tmp_path)[:2]] == [True, True]
    writer.close()


def test_it_is_there_soon_without_one(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Told())
    writer.start()
    writer.pending.append(("loss", 0.5, None, 0.0))
    until = time.monotonic() + 20
    while values(tmp_path) != [0.5]:
        assert time.monotonic() < until
        time.sleep(0.01)
    writer.close()


def test_other_records_come_after_the_points_before_them(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Told())
    writer.pending.append(("loss", 0.5, None, 0.0))
    writer.write(Noted(tags={"kind": "gbm"}))
    assert [type(record) for record in written(tmp_path)] == [Measured, Noted]
    writer.close()


def test_who_logs_nothing_leaves_no_journal(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "run", Told())
    writer.flush()
    writer.close()
    assert not (tmp_path / "run").exists()


def test_after_it_is_closed_nothing_is_written(tmp_path: Path) -> None:
    writer = Writer(tmp_path, Told())
    writer.write(Noted(tags={"a": "1"}))
    writer.close()
    writer.pending.append(("late", 1.0, None, 0.0))
    writer.flush()
    assert values(tmp_path) == []


def test_on_a_full_disk_it_waits_warns_once_and_writes_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    writer = Writer(tmp_path, told)

    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for value in (1.0, 2.0):
            writer.pending.append(("loss", value, None, 0.0))
            writer.flush()
    assert (values(tmp_path), set(told)) == ([], {"journal"})
    writer.pending.append(("loss", 3.0, None, 0.0))
    writer.flush()
    writer.close()
    assert (values(tmp_path), writer.lost) == ([1.0, 2.0, 3.0], 0)


def test_what_is_too_much_to_wait_is_lost_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 100)
    folder = tmp_path / "run"
    folder.write_text("in the way")
    writer = Writer(folder, Told())
    for value in range(10):
        writer.pending.append(("loss", float(value), None, 0.0))
        writer.flush()
    folder.unlink()
    writer.flush()
    writer.close()
    kept = values(folder)
    assert kept == list(map(float, range(len(kept))))
    assert len(kept) + writer.lost == 10
    assert writer.lost > 0
