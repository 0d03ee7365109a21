"""What a step reads is seen, also when it lies in memory already."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from everloop.catalog.session import Session
from everloop.datasets.content import read_table, write_table
from everloop.datasets.entities import Snapshot
from everloop.datasets.reads import watching
from everloop.features.entities import Entity, Feature, FeatureView
from everloop.features.timeline import timeline
from everloop.kernel.errors import Refused
from everloop.pipelines.executor import Reads

VIEW = FeatureView("weather", Entity("airport", ("origin",)), "weather", "at", (Feature("wind", "wind"),), None)


@pytest.fixture
def weather(idle: Session) -> Snapshot:
    at = pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    return write_table(idle, "weather", pa.table({"origin": ["JFK"], "at": at, "wind": [3.0]}))


def test_a_table_in_memory_is_refused_like_any_other(idle: Session, weather: Snapshot) -> None:
    read_table(idle, weather)
    with watching(Reads("train", frozenset(), idle.project)), pytest.raises(Refused, match="Step train read weather@1"):
        read_table(idle, weather)


def test_a_timeline_in_memory_is_refused_like_any_other(idle: Session, weather: Snapshot) -> None:
    timeline(idle, VIEW, weather)
    with watching(Reads("train", frozenset(), idle.project)), pytest.raises(Refused, match="Step train read weather@1"):
        timeline(idle, VIEW, weather)


@pytest.mark.parametrize("known", ["digest", "urn"])
def test_what_was_handed_in_may_be_read(idle: Session, weather: Snapshot, known: str) -> None:
    allowed = weather.digest if known == "digest" else f"dataset:{idle.project}/weather@1"
    with watching(Reads("train", frozenset({allowed}), idle.project)):
        assert read_table(idle, weather).num_rows == 1


def test_what_the_step_wrote_itself_may_be_read(idle: Session) -> None:
    with watching(Reads("train", frozenset(), idle.project)) as _:
        made = write_table(idle, "mine", pa.table({"a": [1]}))
        assert read_table(idle, made).num_rows == 1
