"""A demo as somebody outside sees it: a process, what it prints, and what it leaves in its home."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from everloop.kernel.clock import SharedClock
from everloop.serving.inferencelog import LogReader
from everloop.serving.labellog import LabelReader

PATIENCE = 400.0
Json = Any


class Ran(msgspec.Struct, frozen=True):
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """Its answer."""
        return msgspec.json.decode(self.out)


def everloop(*words: str, home: Path) -> Ran:
    """Run a command to its end, as a shell does."""
    done = subprocess.run(
        [sys.executable, "-m", "everloop", *words, "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=plain(),
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def plain() -> dict[str, str]:
    """The environment without settings of Everloop's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}


class Life:
    """`everloop demo --json` in a home: started, killed, started again, and looked at."""

    def __init__(self, home: Path, months: int) -> None:
        self.home = home
        self.months = months
        self.running: subprocess.Popen[bytes] | None = None
        self.account: Json = None
        self.printed = home.parent / "account.json"
        self.said = home.parent / "progress.txt"

    def start(self) -> None:
        """Begin, or go on."""
        words = ["demo", "--json", "--months", str(self.months), "--home", str(self.home)]
        with self.printed.open("wb") as out, self.said.open("ab") as err:
            command = [sys.executable, "-m", "everloop", *words]
            self.running = subprocess.Popen(command, stdout=out, stderr=err, env=plain())

    def finish(self) -> Json:
        """Wait for the account."""
        assert self.running is not None
        code = self.running.wait(PATIENCE)
        assert code == 0, self.said.read_text()[-3000:]
        self.account = msgspec.json.decode(self.printed.read_bytes())
        return self.account

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self.running is None or self.running.poll() is not None

    def kill(self) -> None:
        """kill -9 of the demo's own process, in which the controller works; then its children are gone too."""
        assert self.running is not None
        children = self.children()
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()
        end = time.monotonic() + 30
        while any(alive(child) for child in children):
            assert time.monotonic() < end, "a child outlives the demo"
            time.sleep(0.02)

    def kill_child(self, word: str) -> bool:
        """kill -9 of the child whose command has a word, if it runs."""
        for child in self.children():
            if word in words_of(child):
                os.kill(child, signal.SIGKILL)
                return True
        return False

    def children(self) -> list[int]:
        """The processes that it started."""
        assert self.running is not None
        return children_of(self.running.pid)

    def now(self) -> datetime | None:
        """Where its clock stands."""
        file = self.home / "clock"
        return SharedClock(file).now() if file.exists() and file.stat().st_size == 8 else None

    def candidates(self) -> list[tuple[str, int]]:
        """The status and version of each candidate, in order, read beside everything else."""
        return [(str(status), int(str(version))) for status, version in self.rows(_CANDIDATES)]

    def executed(self) -> dict[str, int]:
        """How many steps really ran in each execution."""
        return {str(execution): int(str(steps)) for execution, steps in self.rows(_EXECUTED)}

    @cached_property
    def log(self) -> pa.Table:
        """Every prediction that was answered: no shadows."""
        batches, _ = LogReader(self.home, "flights", "delay").since()
        names = ["prediction_id", "key", "role", "output", "at", "deployment", "model_version", "request_id"]
        table = pa.Table.from_batches([batch.select(names) for batch in batches])
        return table.filter(pc.not_equal(table["role"], "shadow"))

    @cached_property
    def labels(self) -> pa.Table:
        """Every label that was kept."""
        return pa.Table.from_batches(LabelReader(self.home, "flights", "delay").since()[0])

    def catalog_copied_to(self, folder: Path) -> Path:
        """A home with this one's catalog, and nothing else."""
        folder.mkdir()
        for name in ("everloop.toml", "clock", "catalog.db"):
            shutil.copy(self.home / name, folder / name)
        return folder

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the catalog says, read beside everything else."""
        if not (self.home / "catalog.db").exists():
            return []
        with closing(sqlite3.connect(f"file:{self.home / 'catalog.db'}?mode=ro", uri=True)) as catalog:
            try:
                return catalog.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # The tables are not made yet.


_CANDIDATES = "SELECT status, version FROM loop_candidates ORDER BY number"
_EXECUTED = "SELECT execution, count(*) FROM step_executions WHERE NOT hit GROUP BY execution"


def children_of(process: int) -> list[int]:
    """The processes that a process has started."""
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def alive(process: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def words_of(process: int) -> list[str]:
    """The command line of a process."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return []
