"""Places to work in: empty platforms in temporary homes, bare SQLite databases, and a home with the flights in it."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from everloop.app import project
from everloop.app.examples import example_folder
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.cli.demo.journey import LOOP, prepare
from everloop.kernel.clock import SharedClock
from everloop.pipelines.project import load_module


def folder() -> Path:
    """A temporary folder that is gone when the benchmarks end."""
    made = Path(tempfile.mkdtemp(prefix="everloop-bench-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def platform() -> Platform:
    """An empty platform on SQLite, with the system's clock."""
    home = folder()
    opened = open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home))
    atexit.register(opened.close)
    return opened


def bare_sqlite(*tables: str) -> sqlite3.Connection:
    """SQLite without anything around it, as durable as the catalog: WAL, synchronous=FULL."""
    connection = sqlite3.connect(folder() / "bare.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *tables):
        connection.execute(statement)
    return connection


@cache
def flights() -> Platform:
    """A platform that holds the flights of 2013, features and a first model behind the endpoint `delay`: ~15 s."""
    home = folder()
    prepare(home, months=10)
    opened = open_platform(load({"home": str(home)}, environment={}, folder=home))
    atexit.register(opened.close)
    clock, world = opened.resources.clock, load_module(example_folder("flights"), "flights.world")
    assert isinstance(clock, SharedClock)
    clock.advance(world.FIRST_DAY)
    ingest: Any = load_module(example_folder("flights"), "flights.data").ingest
    ingest(str(home))
    project.apply(opened, project.collect(example_folder("flights"), "flights.project"))
    opened.call("loops.tick", {"name": LOOP})
    return opened
