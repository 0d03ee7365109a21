"""The committer: whoever waits hears of it, whatever happens to the log."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pyarrow as pa
import pytest

from everloop.kernel.errors import EverloopError, Unavailable
from everloop.serving.committer import Commit, Committer
from everloop.serving.inferencelog import LogWriter


def told(committer: Committer, batches: list[pa.RecordBatch]) -> EverloopError | None:
    """What an asker is told of a commit."""
    heard, said = Event(), list[EverloopError | None]()

    def done(error: EverloopError | None) -> None:
        said.append(error)
        heard.set()

    commit = Commit(batches)
    commit.done = done
    committer.submit(commit)
    assert heard.wait(5)
    return said[0]


@pytest.fixture
def committer(tmp_path: Path) -> Committer:
    return Committer(LogWriter(tmp_path, "default", "delay"), "delay")


def test_what_comes_after_the_end_is_lost_at_once(committer: Committer) -> None:
    committer.close()
    assert isinstance(told(committer, []), Unavailable)


def test_a_batch_that_cannot_be_written_does_not_end_the_writing(committer: Committer) -> None:
    good = pa.record_batch({"at": pa.array([1_700_000_000_000_000], pa.int64())})
    bad = pa.record_batch({"no time": pa.array([1], pa.int64())})
    assert isinstance(told(committer, [bad]), Unavailable)
    assert told(committer, [good]) is None
    committer.close()
