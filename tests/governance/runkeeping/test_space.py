"""Freeing gives space back, whoever logs meanwhile and whatever is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.kernel.errors import NotFound
from everloop.tracking.tables import artifacts, metric_blocks, metric_levels, metric_tail, run_writers, runs
from tests.governance.runkeeping.test_service import freed, hidden, run_of

HOLDING = (artifacts, metric_blocks, metric_levels, metric_tail, run_writers)


def opened(home: Path) -> Platform:
    return open_platform(load({"home": str(home)}, environment={}, folder=home.parent))


def heavy(platform: Platform, number: int) -> str:
    """A deleted run with 20,000 random points and a file of 100 kB."""
    random = Random(number)
    run = platform.call("runs.start", {"experiment": "e"})
    for key in ("a", "b"):
        points = [{"key": key, "value": random.random(), "step": step} for step in range(10_000)]
        platform.call("runs.log", {"id": run.id, "metrics": points})
    digest = platform.resources.store.put(random.randbytes(100_000))
    platform.call("runs.log_artifact", {"id": run.id, "path": "f", "digest": digest})
    platform.call("runs.finish", {"id": run.id})
    platform.call("runs.delete", {"id": run.id})
    return str(run.id)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def orphans(platform: Platform) -> int:
    """Rows that belong to a run that is not there."""
    with platform.session().begin(write=False) as unit:
        known = select(runs.c.id)
        return sum(unit.scalars(select(func.count()).where(table.c.run.not_in(known)))[0] for table in HOLDING)


@pytest.mark.slow
def test_the_file_of_the_database_and_the_store_get_smaller(platform: Platform, home: Path) -> None:
    for number in range(8):
        heavy(platform, number)
    platform.resources.database.reclaim()
    database, store = (home / "catalog.db").stat().st_size, bytes_in(home / "store")
    report = freed(platform)
    platform.call("store.gc", {"dry_run": False, "grace": "0s", "thorough": True})
    assert report.bytes > 8 * 100_000
    assert report.returned_bytes > report.bytes // 2
    assert (home / "catalog.db").stat().st_size <= database - report.returned_bytes
    assert store - bytes_in(home / "store") >= report.files_bytes == 800_000


def test_exports_that_nobody_keeps_are_freed_by_the_store_and_nothing_else_is(platform: Platform) -> None:
    run = run_of(platform)
    (file,) = platform.call("runs.artifacts", {"id": run.id})
    made = [platform.call("runs.export", {"format": format}).digest for format in ("csv", "json", "parquet")]
    platform.call("store.gc", {"dry_run": False, "grace": "0s", "thorough": True})
    for digest in made:
        with pytest.raises(NotFound):
            platform.resources.store.get(digest)
    assert platform.resources.store.get(file.digest)


@pytest.mark.slow
def test_a_file_of_an_earlier_release_is_written_anew_once(home: Path) -> None:
    opened(home).close()
    with sqlite3.connect(home / "catalog.db", isolation_level=None) as old:
        old.execute("PRAGMA journal_mode=DELETE")
        old.execute("PRAGMA auto_vacuum=NONE")
        old.execute("VACUUM")
        assert old.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    platform = opened(home)
    for number in range(8):
        heavy(platform, number)
    assert freed(platform).returned_bytes > 0
    platform.close()
    with sqlite3.connect(home / "catalog.db") as anew:
        assert anew.execute("PRAGMA auto_vacuum").fetchone() == (2,)


@pytest.mark.slow
def test_logging_goes_on_while_runs_are_freed(platform: Platform) -> None:
    ids = [hidden(platform).id for _ in range(60)]
    live = run_of(platform, "live")
    stop = threading.Event()
    written: list[int] = []

    def logs() -> None:
        while not stop.is_set():
            step = 1_000 + len(written)
            point = {"key": "loss", "value": 1.0, "step": step}
            platform.call("runs.log", {"id": live.id, "metrics": [point]})
            written.append(step)

    thread = threading.Thread(target=logs)
    thread.start()
    report = freed(platform)
    stop.set()
    thread.join()
    steps = {point.step for point in platform.call("runs.history", {"id": live.id, "key": "loss"})}
    assert len(report.freed) == len(ids)
    assert set(written) | set(range(50)) == steps
    assert orphans(platform) == 0


GC = """
import sys
from everloop.app.platform import open_platform
from everloop.app.settings import load
platform = open_platform(load({"home": sys.argv[1]}, environment={}))
print("ready", flush=True)
sys.stdin.readline()
platform.call("runs.gc", {"dry_run": False, "older_than": "0s"})
print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_in_the_middle_nothing_dangles_and_the_next_run_finishes(home: Path) -> None:
    platform = opened(home)
    parent = run_of(platform)
    for _ in range(120):
        child = platform.call("runs.start", {"experiment": "e", "parent": parent.id})
        platform.call("runs.delete", {"id": child.id})
    platform.call("runs.delete", {"id": parent.id})
    worker = subprocess.Popen(
        [sys.executable, "-c", GC, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdin
    assert worker.stdout
    worker.stdout.readline()
    worker.stdin.write("go\n")
    worker.stdin.flush()
    total = 121
    while left(platform) == total:
        pass
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert left(platform) < total
    assert orphans(platform) == 0
    assert platform.call("audit.verify", {}).intact
    freed(platform)
    assert left(platform) == 0
    platform.close()


def left(platform: Platform) -> int:
    with platform.session().begin(write=False) as unit:
        return int(unit.scalars(select(func.count()).select_from(runs))[0])
