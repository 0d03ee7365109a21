"""What every database that the catalog can live in promises."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select, update

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog import driver
from everloop.catalog.database import Kept
from everloop.catalog.entities import LedgerEntry
from everloop.catalog.like import like
from everloop.catalog.lineage import link
from everloop.catalog.regular import regular
from everloop.catalog.session import Session
from everloop.catalog.tables import answered, holds, ledger, lineage
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, Misconfigured, Unavailable
from tests.catalog.events import Noted
from tests.servers import free_port


def opened(home: Path, url: str) -> Platform:
    return open_platform(load({"home": str(home), "database_url": url}, environment={}, folder=home.parent))


@pytest.fixture
def platform(home: Path, database_url: str) -> Iterator[Platform]:
    """A platform whose catalog lives in each of the databases in turn."""
    found = opened(home, database_url)
    yield found
    found.close()


@pytest.fixture
def session(platform: Platform) -> Session:
    return platform.session()


def count(session: Session) -> int:
    with session.begin(write=False) as unit:
        return int(unit.scalars(select(func.count()).select_from(ledger))[0])


def note(session: Session, text: str = "") -> None:
    with session.begin() as unit:
        unit.emit(Noted(subject="x", text=text))


class TestLike:
    @pytest.mark.parametrize(
        ("pattern", "ignoring_case", "found"),
        [
            ("ab%", False, {"abc", "ab\nd"}),
            ("AB%", True, {"abc", "Abc", "ab\nd"}),
            ("_bc", False, {"abc", "Abc"}),
            ("%d", False, {"ab\nd"}),
            ("a.c", False, set()),
            ("100\\%", False, {"100\\!"}),
            ("", False, {""}),
            ("%a" * 30 + "%b", False, set()),  # A regular expression of Python's would take years.
        ],
    )
    def test_texts_are_found_alike(self, session: Session, pattern: str, ignoring_case: bool, found: set[str]) -> None:
        texts = ["", "abc", "Abc", "ab\nd", "100\\!", "a" * 1_000]
        with session.begin() as unit:
            for text in texts:
                link(unit, text, "a", "r")
            where = like(lineage.c.downstream, pattern, ignoring_case=ignoring_case)
            assert set(unit.scalars(select(lineage.c.downstream).where(where))) == found

    @pytest.mark.parametrize(
        ("expression", "found"),
        [
            ("^ab", {"abc"}),
            ("[bc]+$", {"abc", "Abc"}),
            ("(?i)^AB", {"abc", "Abc"}),
            ("", {"", "abc", "Abc", "a" * 1_000}),
            ("^(a+)+b$", set()),  # A regular expression of Python's would take years.
        ],
    )
    def test_regular_expressions_occur_alike(self, session: Session, expression: str, found: set[str]) -> None:
        with session.begin() as unit:
            for text in ("", "abc", "Abc", "a" * 1_000):
                link(unit, text, "a", "r")
            where = regular(lineage.c.downstream, expression)
            assert set(unit.scalars(select(lineage.c.downstream).where(where))) == found


class TestTransactions:
    def test_what_was_committed_is_there_after_opening_again(
        self, platform: Platform, home: Path, database_url: str
    ) -> None:
        note(platform.session())
        platform.close()
        again = opened(home, database_url)
        assert count(again.session()) == 1
        again.close()

    def test_an_exception_leaves_nothing(self, session: Session) -> None:
        def work() -> None:
            with session.begin() as unit:
                link(unit, "b", "a", "derived_from")
                unit.emit(Noted(subject="x"))
                raise InvalidInput("Stop here.")

        with pytest.raises(InvalidInput, match="Stop here"):
            work()
        with session.begin(write=False) as unit:
            assert unit.scalars(select(lineage.c.at)) == []
        assert count(session) == 0

    def test_a_name_that_is_taken_is_a_conflict(self, session: Session) -> None:
        edge = {"downstream": "b", "upstream": "a", "relation": "r", "at": session.clock.now()}

        def work() -> None:
            with session.begin() as unit:
                unit.insert(lineage, edge)

        work()
        with pytest.raises(Conflict):
            work()

    def test_a_connection_is_usable_after_a_failure(self, session: Session) -> None:
        for _ in range(30):
            with pytest.raises(InvalidInput), session.begin():
                raise InvalidInput("Stop here.")
        note(session)
        assert count(session) == 1

    @pytest.mark.parametrize("text", ["x" * 1_000_000, "naïve 日本 🛫", "quote ' \" ; -- \\ %s :x"])
    def test_text_comes_back_as_it_went_in(self, session: Session, text: str) -> None:
        note(session, text)
        with session.begin(write=False) as unit:
            (event,) = unit.scalars(select(ledger.c.event))
        assert Noted(subject="x", text=text) == _decoded(event)

    @pytest.mark.parametrize("text", ["nul \0 inside"])
    def test_text_that_not_every_database_takes_is_kept_or_refused(self, session: Session, text: str) -> None:
        try:
            with session.begin() as unit:
                link(unit, text, "a", "derived_from")
        except EverloopError as error:
            assert isinstance(error, InvalidInput)  # noqa: PT017  Both answers are right, others are not.

    def test_times_come_back_to_the_microsecond(self, session: Session) -> None:
        at = datetime(2013, 1, 1, 23, 59, 59, 999_999, tzinfo=UTC)
        with session.begin() as unit:
            unit.insert(lineage, {"downstream": "b", "upstream": "a", "relation": "r", "at": at})
            assert unit.scalars(select(lineage.c.at)) == [at]
            assert unit.scalars(select(lineage.c.at).where(lineage.c.at > at - timedelta(microseconds=1))) == [at]

    def test_prefixes_are_searched_literally(self, session: Session) -> None:
        with session.begin() as unit:
            for subject in ("a_b", "aXb", "a%b"):
                unit.emit(Noted(subject=subject))
        with session.begin(write=False) as unit:
            found = unit.scalars(select(ledger.c.subject).where(ledger.c.subject.startswith("a_", autoescape=True)))
        assert found == ["a_b"]


class TestAKeptConnection:
    """What a thread that writes all the time does on one connection."""

    def test_units_follow_each_other_and_each_is_kept_whole(self, session: Session) -> None:
        kept = Kept(session.resources.database)
        for number in range(3):
            with session.begin_on(kept) as unit:
                unit.emit(Noted(subject="x", text=str(number)))
            assert count(session) == number + 1
        kept.close()

    def test_a_unit_that_fails_leaves_nothing_and_the_next_one_is_as_any(self, session: Session) -> None:
        kept = Kept(session.resources.database)

        def work() -> None:
            with session.begin_on(kept) as unit:
                driver.run(unit.connection, "UPDATE chain_head SET sequence = ?", [(7,)])
                link(unit, "b", "a", "derived_from")
                raise InvalidInput("Stop here.")

        for _ in range(30):
            with pytest.raises(InvalidInput, match="Stop here"):
                work()
        with session.begin_on(kept) as unit:
            unit.emit(Noted(subject="x"))
        kept.close()
        with session.begin(write=False) as unit:
            assert unit.scalars(select(lineage.c.at)) == []
        assert count(session) == 1

    def test_a_connection_that_was_lost_meanwhile_is_replaced(self, session: Session) -> None:
        kept = Kept(session.resources.database)
        connection = kept.begun()
        connection.commit()
        assert connection.connection.driver_connection is not None
        connection.connection.driver_connection.close()
        with session.begin_on(kept) as unit:
            unit.emit(Noted(subject="x"))
        kept.close()
        assert count(session) == 1

    def test_others_write_between_its_units(self, session: Session) -> None:
        kept = Kept(session.resources.database)
        kept.begun().commit()
        writer = threading.Thread(target=note, args=(session,), daemon=True)
        writer.start()
        writer.join(20)
        assert not writer.is_alive()
        kept.close()


class TestStatementsOfTheDriver:
    """Statements with `?` for each value, past SQLAlchemy."""

    def test_what_they_write_commits_with_the_rest(self, session: Session) -> None:
        with session.begin() as unit:
            unit.emit(Noted(subject="x", text="50 % of ?"))
        with session.begin(write=False) as unit:
            [(text,)] = driver.asked(unit.connection, "SELECT event FROM ledger WHERE subject = ?", ("x",))
        assert _decoded(text).text == "50 % of ?"

    def test_rows_are_written_each_by_itself_and_none_is_nothing(self, session: Session) -> None:
        row = "INSERT INTO lineage (downstream, upstream, relation, at) VALUES (?, ?, ?, ?)"
        with session.begin() as unit:
            driver.run(unit.connection, row, [])
            driver.run(unit.connection, row, [("a", "b", "r", 1)])
            driver.run(unit.connection, row, [(name, "b", "r", 1) for name in "xyz"])
            found = driver.asked(unit.connection, "SELECT downstream FROM lineage ORDER BY downstream")
        assert [name for (name,) in found] == ["a", "x", "y", "z"]

    def test_their_errors_are_told_as_any(self, session: Session) -> None:
        def twice() -> None:
            with session.begin() as unit:
                row = "INSERT INTO chain_head (sequence, hash, id) VALUES (?, ?, 5)"
                driver.run(unit.connection, row, [(1, "a"), (2, "b")])

        with pytest.raises(Conflict):
            twice()


class Reason(msgspec.Struct, frozen=True):
    """Some columns of a hold, one of them of a type that travels as another."""

    at: datetime
    reason: str


class TestRowsByTheDriver:
    """Structs found by the key of their row, past SQLAlchemy."""

    reasons = driver.Rows(Reason, holds)

    def keep(self, session: Session, urn: str) -> None:
        hold = {
            "project": "mine",
            "urn": urn,
            "reason": "?",
            "principal": "ann",
            "at": datetime(2026, 1, 2, tzinfo=UTC),
        }
        session.insert(holds, hold)

    def test_a_row_is_found_by_its_whole_key(self, session: Session) -> None:
        with session.begin() as unit:
            self.keep(unit, "a")
            assert self.reasons.first(unit.connection, "mine", "a") == Reason(datetime(2026, 1, 2, tzinfo=UTC), "?")
            assert self.reasons.first(unit.connection, "mine", "b") is None
            assert self.reasons.first(unit.connection, "yours", "a") is None

    def test_only_what_is_named_changes_and_only_there(self, session: Session) -> None:
        with session.begin() as unit:
            self.keep(unit, "a")
            self.keep(unit, "b")
            later = datetime(2026, 3, 4, tzinfo=UTC)
            self.reasons.change(unit.connection, ("mine", "a"), {"at": later})
            assert self.reasons.first(unit.connection, "mine", "a") == Reason(later, "?")
            assert self.reasons.first(unit.connection, "mine", "b") == Reason(datetime(2026, 1, 2, tzinfo=UTC), "?")


class TestReadersAndWriters:
    def test_a_reader_sees_one_moment(self, session: Session) -> None:
        note(session)
        with session.begin(write=False) as unit:
            before = unit.scalars(select(func.count()).select_from(ledger))[0]
            _in_thread(lambda: note(session))
            after = unit.scalars(select(func.count()).select_from(ledger))[0]
        assert (before, after, count(session)) == (1, 1, 2)

    def test_a_reader_is_not_kept_waiting_by_a_writer(self, session: Session) -> None:
        with session.begin() as unit:
            link(unit, "b", "a", "derived_from")
            _in_thread(lambda: count(session))

    def test_a_writer_is_not_kept_waiting_by_a_reader(self, session: Session) -> None:
        with session.begin(write=False) as unit:
            unit.scalars(select(ledger.c.kind))
            _in_thread(lambda: note(session))

    def test_what_a_writer_read_is_still_true_when_it_writes(self, session: Session) -> None:
        row = {"key": "counter", "principal": "me", "usecase": "x", "request": "r", "at": session.clock.now()}
        with session.begin() as unit:
            unit.insert(answered, row | {"answer": "0"})

        def increment() -> None:
            for _ in range(10):
                with session.begin() as unit:
                    value = int(unit.scalars(select(answered.c.answer))[0])
                    unit.execute(update(answered).values(answer=str(value + 1)))

        _in_threads([increment] * 4)
        with session.begin(write=False) as unit:
            assert unit.scalars(select(answered.c.answer)) == ["40"]


class TestTheChain:
    def test_writers_in_one_process_keep_one_unforked_chain(self, platform: Platform) -> None:
        _in_threads([lambda: [note(platform.session()) for _ in range(15)]] * 4)
        report = platform.call("audit.verify", {})
        assert (report.intact, report.entries) == (True, 60)

    @pytest.mark.slow
    def test_writers_in_several_processes_keep_one_unforked_chain(
        self, platform: Platform, home: Path, database_url: str
    ) -> None:
        writers = [_writer(home, database_url, name, 20) for name in ("a", "b", "c")]
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
        report = platform.call("audit.verify", {})
        assert (report.intact, report.entries) == (True, 60)
        assert len(platform.call("audit.entries", {"subject": "writer:default/b"})) == 20

    @pytest.mark.slow
    def test_a_writer_killed_inside_a_transaction_leaves_what_was_acknowledged_and_nothing_else(
        self, platform: Platform, home: Path, database_url: str
    ) -> None:
        writer = _writer(home, database_url, "killed", 5, "hang")
        assert writer.stdout is not None
        acknowledged = list(iter(lambda: writer.stdout.readline().strip(), b"inside"))  # type: ignore[union-attr]  # Checked.
        writer.kill()
        writer.wait()
        assert len(acknowledged) == 5
        note(platform.session(), "life goes on")
        entries: list[LedgerEntry] = platform.call("audit.entries", {})
        assert [entry.event["text"] for entry in reversed(entries)] == ["0", "1", "2", "3", "4", "life goes on"]
        assert platform.call("audit.verify", {}).intact
        assert "note:default/killed.lost" not in platform.call("lineage.graph", {"urn": "note:default/first"}).nodes

    @pytest.mark.slow
    def test_a_writer_killed_at_any_moment_loses_nothing_acknowledged(
        self, platform: Platform, home: Path, database_url: str
    ) -> None:
        writer = _writer(home, database_url, "killed", 100_000)
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(25)]
        writer.kill()
        acknowledged += writer.stdout.readlines()
        writer.wait()
        entries = len(platform.call("audit.entries", {"limit": 10_000}))
        assert len(acknowledged) <= entries <= len(acknowledged) + 1
        assert len(platform.call("lineage.graph", {"urn": "note:default/first"}).edges) == entries
        assert platform.call("audit.verify", {}).intact


def test_an_unreachable_database_is_named_without_its_password(home: Path) -> None:
    port = free_port()
    with pytest.raises(Unavailable) as caught:
        opened(home, f"postgresql://somebody:hunter2@127.0.0.1:{port}/everloop")
    assert "127.0.0.1" in caught.value.message
    assert str(port) in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.slow
def test_a_database_that_goes_away_is_named_without_its_password(home: Path) -> None:
    from tests import servers

    with servers.postgresql() as url:
        platform = opened(home, url.replace("postgres@", "postgres:hunter2@") + "/postgres")
        note(platform.session())
    with pytest.raises(Unavailable) as caught:
        note(platform.session())
    assert "127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.slow
def test_a_database_that_does_not_exist_is_said(home: Path, postgresql_server: str) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        opened(home, f"{postgresql_server}/nowhere")


def test_a_folder_in_which_no_database_can_be_made_is_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="EVERLOOP_"):
        opened(home, f"sqlite:///{tmp_path / 'file' / 'catalog.db'}")


def test_a_file_that_is_no_database_is_said(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"This is not a database, by far. " * 100)
    with pytest.raises(Misconfigured, match=r"catalog\.db is no SQLite"):
        opened(home, f"sqlite:///{path}")


def _decoded(event: str) -> Noted:
    import msgspec

    return msgspec.json.decode(event, type=Noted)


def _in_thread(work: object) -> None:
    _in_threads([work])


def _in_threads(works: list[object]) -> None:
    """Run at the same time, each to its end within ten seconds, errors included."""
    failures: list[BaseException] = []

    def run(work: object) -> None:
        try:
            work()  # type: ignore[operator]  # Anything without arguments.
        except BaseException as error:  # noqa: BLE001  Given to the test.
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "it is kept waiting"
    assert failures == []


def _writer(home: Path, url: str, name: str, count: int, *rest: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.contracts.ledger_writer", str(home), url, name, str(count), *rest]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


class TestReclaim:
    def test_runs_are_freed_and_what_is_left_can_be_read(self, platform: Platform) -> None:
        kept, gone = (platform.call("runs.start", {"experiment": "e"}).id for _ in range(2))
        for run in (kept, gone):
            platform.call(
                "runs.log", {"id": run, "metrics": [{"key": "a", "value": 1.0, "step": n} for n in range(99)]}
            )
        platform.call("runs.delete", {"id": gone})
        assert len(platform.call("runs.search", {"where": ""})) == 1
        report = platform.call("runs.gc", {"dry_run": False, "older_than": "0s"})
        assert [one.urn for one in report.freed] == [f"run:default/{gone}"]
        assert platform.resources.database.reclaim() >= 0
        assert len(platform.call("runs.history", {"id": kept, "key": "a"})) == 99
