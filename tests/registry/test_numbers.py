"""Version numbers: no hole and no twin, however many processes register at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from tests.servers import postgresql

pytestmark = pytest.mark.slow
PROCESSES, EACH = 8, 5
PROGRAM = f"""
import sys
from everloop.app.platform import open_platform
from everloop.app.settings import load
from tests.registry.making import registered
platform = open_platform(load({{"home": sys.argv[1], "database_url": sys.argv[2]}}, environment={{}}))
print("ready", flush=True)
sys.stdin.readline()
for _ in range({EACH}):
    with platform.session().begin() as unit:
        print(registered(unit).version, flush=True)
"""


def numbers_of(home: Path, database: str) -> list[int]:
    """What eight processes are given that begin at once."""
    open_platform(load({"home": str(home), "database_url": database}, environment={})).close()
    command = [sys.executable, "-c", PROGRAM, str(home), database]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]  # type: ignore[call-overload]
    for one in running:
        assert one.stdout.readline() == "ready\n"
    for one in running:
        one.stdin.write("\n")
        one.stdin.flush()
    given = [int(line) for one in running for line in one.communicate(timeout=120)[0].split()]
    assert [one.returncode for one in running] == [0] * PROCESSES
    return given


def test_processes_on_sqlite_are_given_each_number_once(tmp_path: Path) -> None:
    assert sorted(numbers_of(tmp_path / "home", "")) == list(range(1, PROCESSES * EACH + 1))


def test_processes_on_postgresql_are_given_each_number_once(tmp_path: Path) -> None:
    with postgresql() as url:
        given = numbers_of(tmp_path / "home", f"{url}/postgres")
    assert sorted(given) == list(range(1, PROCESSES * EACH + 1))
