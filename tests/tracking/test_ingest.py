"""Ingest: what is acknowledged is durable, once, whoever else writes; what is refused spoils nothing for others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest
from sqlalchemy import text

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from everloop.tracking.entities import Logged, MetricPoint, Points
from everloop.tracking.points import points_of
from tests.servers import postgresql


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    with postgresql() as server:
        yield f"{server}/postgres"


def reopened(folder: Path, url: str) -> Platform:
    settings = {"home": str(folder / "home"), "database_url": url or None, "project": folder.name[-40:]}
    return open_platform(load(settings, environment={}, folder=folder))


@pytest.fixture
def platform(url: str, tmp_path: Path) -> Iterator[Platform]:
    opened = reopened(tmp_path, url)
    yield opened
    opened.close()


@pytest.fixture
def run(platform: Platform) -> str:
    return started(platform)


def started(platform: Platform) -> str:
    found: str = platform.call("runs.start", {"experiment": "trial"}).id
    return found


def point(step: int, key: str = "loss") -> Points:
    return points_of([MetricPoint(key, step / 3, step)])


def submit(platform: Platform, logged: Logged, principal: str = "ann") -> Future[None]:
    return platform.ingest.submit(logged, principal, platform.settings.values.project)


def steps(platform: Platform, run: str, key: str = "loss") -> list[int]:
    return sorted(point.step for point in platform.call("runs.history", {"id": run, "key": key}))


def test_what_was_submitted_is_there_when_its_future_is_done(platform: Platform, run: str) -> None:
    submit(platform, Logged(run, point(1), {"rate": "0.1"}, {"state": "new"})).result()
    found = platform.call("runs.get", {"id": run})
    assert (found.metrics, found.parameters, found.tags) == ({"loss": 1 / 3}, {"rate": "0.1"}, {"state": "new"})


def test_many_that_wait_share_transactions_and_come_in_their_order(platform: Platform, run: str) -> None:
    wait([submit(platform, Logged(run, point(step))) for step in range(500)])
    submit(platform, Logged(run, tags={"last": "yes"})).result()
    assert steps(platform, run) == list(range(500))
    assert platform.call("runs.get", {"id": run}).metrics == {"loss": 499 / 3}


def test_a_refused_write_spoils_nothing_for_the_others(platform: Platform, run: str) -> None:
    first = submit(platform, Logged(run, parameters={"rate": "1"}))
    refused = {
        Conflict: Logged(run, point(1), {"rate": "2"}),
        NotFound: Logged("0" * 32, point(1)),
        InvalidInput: Logged(run, point(1), tags={"a`": "b"}),
    }
    futures = {kind: submit(platform, logged) for kind, logged in refused.items()}
    last = submit(platform, Logged(run, point(2)))
    wait([first, last, *futures.values()])
    assert {kind: type(future.exception()) for kind, future in futures.items()} == {kind: kind for kind in refused}
    assert steps(platform, run) == [2]


def test_the_ledger_says_on_whose_behalf_it_was(platform: Platform, run: str) -> None:
    wait([submit(platform, Logged(run, tags={name: "1"}), name) for name in ("ann", "bob", "ann")])
    logged = platform.call("audit.entries", {"kind": "runs.logged"})
    assert {(entry.principal, *entry.event["tags"]) for entry in logged if run in entry.subject} == {
        ("ann", "ann"),
        ("bob", "bob"),
    }
    assert platform.call("audit.verify", {}).intact


def test_runs_of_several_projects_share_a_transaction(platform: Platform, run: str) -> None:
    other = platform.call("runs.start", {"experiment": "trial"}, project="other").id
    wait([submit(platform, Logged(run, point(1))), platform.ingest.submit(Logged(other, point(2)), "ann", "other")])
    assert platform.call("runs.get", {"id": other}, project="other").metrics == {"loss": 2 / 3}
    with pytest.raises(NotFound):
        submit(platform, Logged(other, point(3))).result()


def test_threads_write_to_the_same_runs_at_once(platform: Platform) -> None:
    runs = [started(platform) for _ in range(3)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(40):
                logged = Logged(runs[step % 3], point(step, f"loss{number}"), writer=f"w{number}", sequence=step + 1)
                wait([submit(platform, logged), submit(platform, logged)])
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]  # type: ignore[func-returns-value]
    [thread.join() for thread in threads]  # type: ignore[func-returns-value]
    assert errors == []
    for number in range(8):
        assert sorted(step for run in runs for step in steps(platform, run, f"loss{number}")) == list(range(40))


def test_closing_writes_what_waits_and_takes_no_more(platform: Platform, run: str) -> None:
    futures = [submit(platform, Logged(run, point(step))) for step in range(100)]
    platform.ingest.close()
    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(Unavailable, match="takes no more"):
        submit(platform, Logged(run, point(1)))
    assert steps(platform, run) == list(range(100))


def test_a_write_that_nobody_waits_for_any_more_is_left_out(platform: Platform, run: str) -> None:
    ingest = platform.ingest
    with platform.session().begin():  # Nobody else can write.
        first = submit(platform, Logged(run, point(1)))
        while not first.running():
            pass
        second = submit(platform, Logged(run, point(2)))
        assert second.cancel()
    ingest.close()
    assert steps(platform, run) == [1]


def test_a_database_that_does_not_answer_is_told_of(
    platform: Platform, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        from sqlalchemy.exc import OperationalError

        raise OperationalError("BEGIN", {}, OSError("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(platform.resources.database, "begin", broken)
        futures = [submit(platform, Logged(run, point(1))) for _ in range(3)]
        wait(futures)
    assert [type(future.exception()) for future in futures] == [Unavailable] * 3
    submit(platform, Logged(run, point(1))).result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_writes_for_itself(platform: Platform, run: str) -> None:
    submit(platform, Logged(run, point(1))).result()
    child = os.fork()
    if child == 0:
        try:
            submit(platform, Logged(run, point(2))).result(timeout=30)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    submit(platform, Logged(run, point(3))).result()
    assert steps(platform, run) == [1, 2, 3]


WRITER = """
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from tests.tracking.test_ingest import point, reopened, submit
from everloop.tracking.entities import Logged
folder, url, run, attempt = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
platform = reopened(folder, url)

def work(number):
    start = attempt * 100_000
    for step in range(start, start + 100_000):
        logged = Logged(run, point(step, f"loss{number}"), writer=f"w{number}", sequence=step + 1)
        submit(platform, logged).result()
        sys.stdout.write(f"{number} {step}\\n")
        sys.stdout.flush()

with ThreadPoolExecutor(4) as pool:
    list(pool.map(work, range(4)))
"""


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9_and_is_there_once(platform: Platform, url: str, tmp_path: Path) -> None:
    run = started(platform)
    acknowledged: list[tuple[int, int]] = []
    for attempt in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path), url, run, str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged.append(tuple(map(int, line.split())))  # type: ignore[arg-type]
                if len(acknowledged) >= 700 * (attempt + 1):
                    writer.send_signal(signal.SIGKILL)
                    break
            acknowledged += [tuple(map(int, line.split())) for line in writer.stdout if line.endswith("\n")]  # type: ignore[misc]
    for number in range(4):
        there = steps(platform, run, f"loss{number}")
        mine = [step for who, step in acknowledged if who == number]
        assert len(there) == len(set(there))
        assert set(mine) <= set(there)
        for step in mine[-3:]:  # A client that did not hear the answer sends again.
            submit(platform, Logged(run, point(step, f"loss{number}"), writer=f"w{number}", sequence=step + 1)).result()
        assert steps(platform, run, f"loss{number}") == there
    assert platform.call("audit.verify", {}).intact


def test_the_tables_hold_few_rows_however_many_calls_there_were(platform: Platform, run: str) -> None:
    wait([submit(platform, Logged(run, point(step))) for step in range(300)])
    with platform.session().begin(write=False) as unit:
        rows = unit.connection.execute(text("SELECT count(*) FROM metric_tail WHERE run = :run"), {"run": run}).scalar()
    assert rows is not None
    assert rows < 300
