"""Writes to runs: whatever is logged, repeated and sealed, a run says what a plain dictionary would."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.clock import EPOCH, micros
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, NotFound
from everloop.tracking import sealing, service
from everloop.tracking.entities import CodeRevision, Logged, MetricPoint, Points
from everloop.tracking.points import by_key, number_of, points_of
from everloop.tracking.series.blocks import FULL
from everloop.tracking.tables import metric_blocks, metric_tail
from everloop.tracking.tables import runs as run_table
from everloop.tracking.writes import Writes, write

KEYS = st.sampled_from(["loss", "auc", "größe/Ü"])
POINT = st.builds(
    MetricPoint,
    KEYS,
    st.floats(),
    st.one_of(st.integers(-3, 3), st.sampled_from([-(1 << 63), (1 << 63) - 1])),
    st.sampled_from([EPOCH.replace(year=2026), EPOCH.replace(year=2025)]),
)
TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2", "Ünïcode\n"]), max_size=2)
WRITE = st.builds(
    lambda points, parameters, tags, writer, sequence: (points, parameters, tags, writer, sequence),
    st.lists(POINT, max_size=6),
    TEXTS,
    TEXTS,
    st.sampled_from(["", "one", "two"]),
    st.integers(1, 4),
)


class Model:
    """What a run is, in dictionaries."""

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.points: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self.last: dict[str, int] = defaultdict(int)

    def take(
        self, points: list[MetricPoint], parameters: dict[str, str], tags: dict[str, str], who: tuple[str, int]
    ) -> bool:
        """Whether it is taken."""
        writer, sequence = who
        if writer and sequence <= self.last[writer]:
            return True
        if any(self.parameters.get(key, text) != text for key, text in parameters.items()):
            return False
        self.parameters |= parameters
        self.tags |= tags
        for point in points:
            self.points[point.key].append((point.step, micros(point.at or EPOCH), repr(number_of(point))))
        if writer:
            self.last[writer] = sequence
        return True

    def latest(self) -> dict[str, str]:
        """The latest value of each metric: the largest step, then time, then value, and NaN before any number."""

        def order(point: tuple[int, int, str]) -> tuple[int, int, bool, float]:
            value = float(point[2])
            return point[0], point[1], not math.isnan(value), 0.0 if math.isnan(value) else value

        return {key: repr(float(max(points, key=order)[2]) + 0.0) for key, points in self.points.items()}


def logged(
    run: str, points: list[MetricPoint], parameters: dict[str, str], tags: dict[str, str], who: tuple[str, int]
) -> Logged:
    return Logged(run, points_of(points) if points else None, parameters, tags, writer=who[0], sequence=who[1])


@settings(deadline=None, max_examples=60)
@given(writes=st.lists(st.tuples(WRITE, st.booleans()), max_size=12), limit=st.integers(1, 12))
def test_a_run_is_what_a_dictionary_would_be(
    shared_platform: Platform, writes: list[tuple[Any, bool]], limit: int
) -> None:
    model = Model()
    with pytest.MonkeyPatch.context() as patch, shared_platform.session().begin() as session:
        patch.setattr(sealing, "POINTS", limit)
        run = service.begin(session, "trial", "", CodeRevision(), more=service.ELSEWHERE).id
        made = [logged(run, write[0], write[1], write[2], write[3:]) for write, _ in writes]
        shared = Writes(session)
        shared.read(made or [Logged(run)])
        for given, (write, apart) in zip(made, writes, strict=True):
            if apart:  # In a transaction of its own; otherwise with others.
                shared.keep()
                shared = Writes(session)
                shared.read(made)
            taken = model.take(write[0], write[1], write[2], write[3:])
            assert accepted(partial(shared.take, given, "ann")) is taken
        shared.keep()
        found = service.get(session, run)
        assert (found.parameters, found.tags) == (model.parameters, model.tags)
        assert {key: repr(float(value or 0.0) + 0.0) for key, value in found.metrics.items()} == model.latest()
        for key, points in model.points.items():
            history = service.history(session, run, key)
            there = [(p.step, micros(p.at or EPOCH), repr(p.value)) for p in history]
            assert sorted(there) == sorted(points)
            assert [at for _, at, _ in there] == sorted(at for _, at, _ in points)


def accepted(work: Callable[[], None]) -> bool:
    """Whether it was not refused."""
    try:
        work()
    except Conflict:
        return False
    return True


@pytest.fixture
def run(session: Session) -> str:
    return service.start(session, "trial").id


def points(count: int, key: str = "loss", first: int = 0) -> Points:
    return points_of([MetricPoint(key, step / 3, step) for step in range(first, first + count)])


class TestAWriterIsHeardOnce:
    def test_a_repeated_write_changes_nothing(self, session: Session, run: str) -> None:
        for _ in range(3):
            write(session, Logged(run, points(1), writer="laptop", sequence=1))
        assert len(service.history(session, run, "loss")) == 1
        assert service.writer(session, run, "laptop") == 1

    def test_a_lower_number_is_acknowledged_and_a_gap_is_accepted(self, session: Session, run: str) -> None:
        for sequence in (5, 2, 9):
            write(session, Logged(run, points(1, first=sequence), writer="laptop", sequence=sequence))
        assert [point.step for point in service.history(session, run, "loss")] == [5, 9]
        assert service.writer(session, run, "laptop") == 9

    def test_each_writer_counts_for_itself_and_for_each_run(self, session: Session, run: str) -> None:
        other = service.start(session, "trial").id
        for id, writer in ((run, "a"), (run, "b"), (other, "a")):
            write(session, Logged(id, points(1), writer=writer, sequence=1))
        assert [len(service.history(session, id, "loss")) for id in (run, other)] == [2, 1]

    def test_a_refused_write_is_not_counted(self, session: Session, run: str) -> None:
        write(session, Logged(run, parameters={"rate": "1"}))
        with pytest.raises(Conflict):
            write(session, Logged(run, points(1), {"rate": "2"}, writer="a", sequence=1))
        write(session, Logged(run, points(1), writer="a", sequence=1))
        assert len(service.history(session, run, "loss")) == 1

    def test_a_write_that_is_sent_again_after_the_end_is_acknowledged(self, session: Session, run: str) -> None:
        write(session, Logged(run, points(1), writer="a", sequence=1))
        service.finish(session, run)
        write(session, Logged(run, points(1), writer="a", sequence=1))
        with pytest.raises(Conflict, match="is finished"):
            write(session, Logged(run, points(1), writer="a", sequence=2))

    @pytest.mark.parametrize(("writer", "sequence"), [("a", 0), ("a", -1), ("a", 1 << 63), ("a" * 65, 1), ("a\n", 1)])
    def test_what_is_no_writer_is_refused(self, session: Session, run: str, writer: str, sequence: int) -> None:
        with pytest.raises(InvalidInput, match="cannot count"):
            write(session, Logged(run, points(1), writer=writer, sequence=sequence))


class TestAWriteIsRefusedWhole:
    @pytest.mark.parametrize(
        "given",
        [
            Logged("", points(1), {"a`b": "1"}),
            Logged("", points(1), {"": "1"}),
            Logged("", points(1), tags={"\u202eevil": "1"}),
            Logged("", points(1), tags={"zero\u200bwidth": "1"}),
            Logged("", points(1), tags={"a" * 251: "1"}),
            Logged("", points(1), tags={"a": "NUL\0"}),
            Logged("", points(1), tags={"a": "\ud800"}),
            Logged("", points(1, key="a\nb")),
            Logged("", Points(("a",), b"\1\0\0\0", bytes(8), bytes(8), bytes(8))),
            Logged("", Points(("a",), bytes(4), bytes(8), bytes(7), bytes(8))),
            Logged("", Points(("a",), bytes(4), bytes(8), b"\xff" * 7 + b"\x7f", bytes(8))),
            Logged("", Points(("a", "a"), bytes(4), bytes(8), bytes(8), bytes(8))),
        ],
    )
    def test_with_what_cannot_be_kept(self, session: Session, run: str, given: Logged) -> None:
        with pytest.raises(InvalidInput):
            write(session, msgspec.structs.replace(given, run=run))
        found = service.get(session, run)
        assert (found.parameters, found.tags, found.metrics) == ({}, {}, {})

    def test_to_an_unknown_or_deleted_run(self, session: Session, run: str) -> None:
        service.delete(session, run)
        with pytest.raises(Conflict, match="was deleted"):
            write(session, Logged(run, points(1), amend=True))
        with pytest.raises(NotFound, match="no run"):
            write(session, Logged("0" * 32, points(1)))

    def test_to_a_run_of_a_deleted_experiment_until_it_is_restored(self, session: Session, run: str) -> None:
        experiment = service.get(session, run).experiment
        service.delete_experiment(session, experiment)
        with pytest.raises(Conflict, match="its experiment was"):
            write(session, Logged(run, points(1), amend=True))
        service.restore_experiment(session, experiment)
        write(session, Logged(run, points(1)))

    def test_and_says_which_character_cannot_be_seen(self, session: Session, run: str) -> None:
        with pytest.raises(InvalidInput, match=r"U\+202E"):
            write(session, Logged(run, tags={"\u202eevil": "1"}))


def test_any_text_can_be_a_value(session: Session, run: str) -> None:
    texts = {"lines": "a\nb\r\n\tc", "emoji": "👩‍👩‍👧", "rtl": "שלום\u202e", "long": "x" * 1_000_000}
    write(session, Logged(run, parameters=texts))
    assert service.get(session, run).parameters == texts


class TestAnEndedRun:
    def test_is_amended_where_that_is_asked_for_and_the_ledger_tells(self, platform: Platform) -> None:
        run = platform.call("runs.start", {"experiment": "trial"}).id
        platform.call("runs.finish", {"id": run})
        with platform.session().begin() as session:
            write(session, Logged(run, points(2), tags={"stage": "registered"}, amend=True))
        found = platform.call("runs.get", {"id": run})
        assert (found.tags, found.status) == ({"stage": "registered"}, "finished")
        event = platform.call("audit.entries", {})[0]
        assert (event.kind, event.event["points"], event.event["tags"]) == ("runs.amended", 2, ["stage"])

    def test_keeps_its_parameters(self, session: Session, run: str) -> None:
        write(session, Logged(run, parameters={"rate": "1"}))
        service.finish(session, run)
        with pytest.raises(Conflict, match="cannot become"):
            write(session, Logged(run, parameters={"rate": "2"}, amend=True))

    def test_goes_on_when_it_is_resumed(self, session: Session, run: str) -> None:
        write(session, Logged(run, points(3)))
        service.finish(session, run)
        assert service.resume(session, run).ended is None
        write(session, Logged(run, points(3, first=3)))
        service.finish(session, run)
        assert [point.step for point in service.history(session, run, "loss")] == list(range(6))


class TestSealing:
    def test_the_end_of_a_run_puts_all_of_its_points_into_blocks(self, session: Session, run: str) -> None:
        write(session, Logged(run, points(5)))
        assert tails(session, run) == 1
        service.finish(session, run)
        assert (tails(session, run), blocks(session, run)) == (0, [5])

    def test_many_small_writes_are_sealed_on_the_way(self, session: Session, run: str) -> None:
        writes = Writes(session)
        writes.read([Logged(run)])
        for step in range(0, 2 * sealing.POINTS, 512):
            writes.take(Logged(run, points(512, first=step)), "ann")
            writes.keep()
        assert sum(blocks(session, run)) >= sealing.POINTS
        assert [point.step for point in service.history(session, run, "loss")] == list(range(2 * sealing.POINTS))

    def test_so_are_single_points_before_their_tails_are_many(self, session: Session, run: str) -> None:
        writes = Writes(session)
        writes.read([Logged(run)])
        for step in range(1_000):
            writes.take(Logged(run, points(1, first=step)), "ann")
            writes.keep()
        assert tails(session, run) < 1_000 - sum(blocks(session, run)) + 1
        assert sum(blocks(session, run)) >= 300

    def test_a_large_write_is_sealed_at_once_in_blocks_that_are_not_too_large(self, session: Session, run: str) -> None:
        write(session, Logged(run, points(20_000)))
        assert (tails(session, run), sum(blocks(session, run))) == (0, 20_000)
        assert max(blocks(session, run)) <= FULL

    def test_the_ledger_has_the_digest_of_the_points(self, platform: Platform) -> None:
        run = platform.call("runs.start", {"experiment": "trial"}).id
        metrics = [{"key": "loss", "value": step / 3, "step": step, "at": EPOCH} for step in range(3)]
        platform.call("runs.log", {"id": run, "metrics": metrics[:2]})
        platform.call("runs.log", {"id": run, "metrics": metrics[2:]})
        platform.call("runs.finish", {"id": run})
        (sealed,) = platform.call("audit.entries", {"kind": "runs.metrics_sealed"})
        expected = sealing.digest_of(by_key([points_of([MetricPoint(**it) for it in metrics])]))  # type: ignore[arg-type]
        assert (sealed.event["points"], sealed.event["digest"]) == ({"loss": 3}, expected)


def tails(session: Session, run: str) -> int:
    return len(session.scalars(select(metric_tail.c.sequence).where(metric_tail.c.run == run)))


def blocks(session: Session, run: str) -> list[int]:
    return list(session.scalars(select(metric_blocks.c.count).where(metric_blocks.c.run == run)))


class TestChanges:
    def test_every_change_of_a_run_gives_it_the_next_number(self, session: Session, run: str) -> None:
        other = service.start(session, "trial").id
        seen = [number(session, other)]
        for change in (
            lambda: service.log(session, run, (MetricPoint("a", 1.0),)),
            lambda: service.rename(session, run, "second"),
            lambda: service.describe(session, run, "why"),
            lambda: service.set_tags(session, run, {"a": "b"}),
            lambda: service.delete_tag(session, run, "a"),
            lambda: service.delete(session, run),
            lambda: service.restore(session, run),
            lambda: service.finish(session, run),
            lambda: service.resume(session, run),
        ):
            change()  # type: ignore[no-untyped-call]  # a lambda has no types
            seen.append(number(session, run))
        assert seen == sorted(set(seen))

    def test_a_repeated_write_is_no_change(self, session: Session, run: str) -> None:
        write(session, Logged(run, points(1), writer="a", sequence=1))
        before = number(session, run)
        write(session, Logged(run, points(1), writer="a", sequence=1))
        assert number(session, run) == before


def number(session: Session, run: str) -> int:
    found: int = session.scalars(select(run_table.c.changed).where(run_table.c.id == run))[0]
    return found


def test_200_000_points_in_one_call_are_taken(session: Session, run: str) -> None:
    write(session, Logged(run, points(200_000)))
    assert service.get(session, run).metrics == {"loss": 199_999 / 3}


def test_an_error_is_one_of_ours(session: Session, run: str) -> None:
    with pytest.raises(EverloopError):
        write(session, Logged(run, Points(("a",), b"", b"1", b"", b"")))
