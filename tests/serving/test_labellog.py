"""The label log: durable, first label of a key wins, joined by key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everloop.kernel.errors import InvalidInput
from everloop.serving import labellog
from everloop.serving.entities import FeedbackReceipt, Label
from everloop.serving.labellog import LabelReader, LabelWriter, shared_writer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def writer(home: Path) -> LabelWriter:
    return LabelWriter(home, "default", "delay")


def kept(home: Path) -> list[tuple[str, float]]:
    rows = [row for batch in LabelReader(home, "default", "delay").since()[0] for row in batch.to_pylist()]
    return [(row["key"], row["value"]) for row in rows]


def test_labels_are_kept_in_the_order_they_came(writer: LabelWriter, home: Path) -> None:
    assert writer.append([Label("a", 1.0), Label("b", 0.0)], NOW) == FeedbackReceipt(2, 0)
    assert kept(home) == [("a", 1.0), ("b", 0.0)]


def test_the_first_label_of_a_key_wins(writer: LabelWriter, home: Path) -> None:
    writer.append([Label("a", 1.0)], NOW)
    assert writer.append([Label("a", 0.0), Label("b", 1.0), Label("b", 0.0)], NOW) == FeedbackReceipt(1, 2)
    assert kept(home) == [("a", 1.0), ("b", 1.0)]


def test_a_restarted_process_recognises_duplicates(writer: LabelWriter, home: Path) -> None:
    writer.append([Label("a", 1.0)], NOW)
    assert LabelWriter(home, "default", "delay").append([Label("a", 0.0)], NOW) == FeedbackReceipt(0, 1)


def test_two_processes_recognise_each_others_labels(writer: LabelWriter, home: Path) -> None:
    other = LabelWriter(home, "default", "delay")
    other.append([Label("a", 1.0)], NOW)
    assert writer.append([Label("a", 0.0)], NOW) == FeedbackReceipt(0, 1)


def test_a_label_is_known_from_its_own_time_or_from_now(writer: LabelWriter, home: Path) -> None:
    earlier = NOW - timedelta(hours=3)
    writer.append([Label("a", 1.0, earlier), Label("b", 1.0)], NOW)
    reader = LabelReader(home, "default", "delay")
    assert reader.find("a") == Label("a", 1.0, earlier)
    assert reader.find("b") == Label("b", 1.0, NOW)
    assert reader.find("c") is None


@pytest.mark.parametrize("wrong", [Label("", 1.0), Label("a", float("nan")), Label("a", float("inf"))])
def test_a_label_without_key_or_number_refuses_the_whole_batch(writer: LabelWriter, home: Path, wrong: Label) -> None:
    with pytest.raises(InvalidInput, match="is not a label"):
        writer.append([Label("good", 1.0), wrong], NOW)
    assert kept(home) == []


def test_no_labels_are_no_record(writer: LabelWriter, home: Path) -> None:
    assert writer.append([], NOW) == FeedbackReceipt(0, 0)
    assert kept(home) == []


def test_memory_is_bounded(writer: LabelWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labellog, "REMEMBERED", 3)
    writer.append([Label(key, 1.0) for key in "abcde"], NOW)
    assert writer.append([Label("e", 1.0)], NOW).duplicates == 1
    assert writer.append([Label("a", 1.0)], NOW).accepted == 1


def test_one_process_shares_one_writer(home: Path) -> None:
    assert shared_writer(home, "default", "delay") is shared_writer(home, "default", "delay")
    assert shared_writer(home, "default", "delay") is not shared_writer(home, "default", "price")
