"""How far a journal was shipped, across crashes at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.tracking.journals.sent import Batch, Sent


def test_nothing_was_sent_at_first(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "w.journal")
    assert (sent.acknowledged, sent.planned) == (Batch(0, 0, 0), None)


def test_a_batch_that_may_have_arrived_is_known_after_a_crash(tmp_path: Path) -> None:
    Sent(tmp_path / "w.journal").plan(100)
    assert Sent(tmp_path / "w.journal").planned == Batch(1, 0, 100)


def test_numbers_rise_and_batches_follow_on_each_other(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "w.journal")
    sent.acknowledge(sent.plan(100))
    assert sent.plan(250) == Batch(2, 100, 250)


def test_what_was_acknowledged_is_known_after_a_crash(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "w.journal")
    sent.acknowledge(sent.plan(100))
    again = Sent(tmp_path / "w.journal")
    assert (again.acknowledged, again.planned) == (Batch(1, 0, 100), None)


@given(st.integers(1, 5), st.integers(0, 200))
def test_a_torn_file_never_tells_of_a_batch_that_was_not_planned(
    tmp_path_factory: pytest.TempPathFactory, batches: int, cut: int
) -> None:
    journal = tmp_path_factory.mktemp("sent") / "w.journal"
    sent = Sent(journal)
    planned = []
    for end in range(10, 10 * batches + 1, 10):
        planned.append(sent.plan(end))
        sent.acknowledge(planned[-1])
    path = journal.with_suffix(".sent")
    path.write_bytes(path.read_bytes()[:-cut] if cut else path.read_bytes())
    again = Sent(journal)
    assert again.acknowledged in [Batch(0, 0, 0), *planned]
    assert again.planned in [None, *planned]


def test_it_goes_on_behind_a_torn_row(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "w.journal")
    sent.acknowledge(sent.plan(100))
    with (tmp_path / "w.sent").open("ab") as file:
        file.write(b"Ptorn")
    again = Sent(tmp_path / "w.journal")
    again.plan(300)
    assert Sent(tmp_path / "w.journal").planned == Batch(2, 100, 300)
