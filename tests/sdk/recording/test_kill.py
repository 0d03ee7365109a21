"""Kill -9 of trainers and servers: every point that was flushed is there exactly once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest

import everloop as el
from everloop.sdk.platform import Everloop
from everloop.tracking.entities import Run
from tests.sdk.recording.conftest import QUIET, everloop, trainer
from tests.servers import free_port

pytestmark = pytest.mark.slow

ENDLESS = """
run = el.run('trial', parameters={'rate': 0.1}).start()
print(run.id, flush=True)
for step in range(10_000_000):
    run.log_metric('loss', step)
    if step % 500 == 0:
        run.flush()
        print(step, flush=True)
"""
COUNTED = """
with el.run('trial') as run:
    print(run.id, flush=True)
    for step in range(30_000):
        run.log_metric('loss', step)
        if step % 100 == 0:
            time.sleep(0.02)
            run.flush()
"""


@contextmanager
def server(home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A real server on a home; killed at the end of the block."""
    command = [sys.executable, "-m", "everloop", "server", "--port", str(port), "--home", str(home), "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=QUIET)
    try:
        assert running.stdout is not None
        assert running.stdout.readline()
        yield running
    finally:
        running.kill()
        running.communicate()


def wait_for(url: str) -> None:
    """Come back when a run has arrived: from then on its trainer waits for the server."""
    until = time.monotonic() + 60
    while httpx.get(url, timeout=10).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.1)


def killed(running: subprocess.Popen[str], seconds: float) -> tuple[str, int]:
    """The run's id, and the last step that was flushed before the process was killed."""
    assert running.stdout is not None
    run = running.stdout.readline().strip()
    time.sleep(seconds)
    running.kill()
    told = [line for line in running.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    running.communicate()
    return run, int(told[-1]) if told else -1


def check(home: Path, run: str, flushed: int) -> Run:
    """Look that the steps of a run are there, each once, up to the last that was flushed at least."""
    with el.open(home) as ever:
        found: Run = ever.runs.get(run)
        steps = [point.step for point in ever.runs.history(run, "loss")] if found.metrics else []
        values = [point.value for point in ever.runs.history(run, "loss")] if found.metrics else []
    assert steps == list(range(len(steps)))
    assert values == list(map(float, steps))
    assert len(steps) > flushed
    return found


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_trainers_points_are_there_once_it_is_synced(home: Path, seed: int) -> None:
    run, flushed = killed(trainer(home, ENDLESS), Random(seed).uniform(0, 3))
    first = everloop(home, "runs", "sync")
    assert first.returncode == 0, first.stderr
    assert [left["outcome"] for left in msgspec.json.decode(first.stdout)] == ["sent"]
    found = check(home, run, flushed)
    assert (found.status, found.parameters) == ("killed", {"rate": "0.1"})
    assert everloop(home, "runs", "sync").stdout.strip() == "[]"


def test_a_sync_that_is_killed_again_and_again_ships_everything_once(home: Path) -> None:
    run, flushed = killed(trainer(home, ENDLESS, EVERLOOP_OFFLINE="1"), 3)
    command = [sys.executable, "-m", "everloop", "runs", "sync", "--home", str(home)]
    for attempt in range(6):
        with subprocess.Popen(command, env=QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            time.sleep(0.5 + 0.15 * attempt)
            running.kill()
    assert everloop(home, "runs", "sync").returncode == 0
    check(home, run, flushed)


def test_a_trainer_survives_its_server(home: Path, tmp_path: Path) -> None:
    port = free_port()
    with server(home, port) as first:
        running = trainer(tmp_path / "client", COUNTED, EVERLOOP_URL=f"http://127.0.0.1:{port}")
        assert running.stdout is not None
        run = running.stdout.readline().strip()
        wait_for(f"http://127.0.0.1:{port}/api/v1/runs/{run}")
        first.kill()
        first.wait()
    for _ in range(2):
        with server(home, port):
            time.sleep(1)
    with server(home, port):
        _, problems = running.communicate(timeout=60)
        assert (running.returncode, "everloop runs sync" in problems) == (0, False), problems
    assert check(home, run, 29_999).status == "finished", problems


def test_a_trainer_and_its_server_are_killed_and_what_was_left_is_sent_later(home: Path, tmp_path: Path) -> None:
    port, client = free_port(), tmp_path / "client"
    url = f"http://127.0.0.1:{port}"
    with server(home, port) as first:
        running = trainer(client, ENDLESS, EVERLOOP_URL=url)
        time.sleep(1.5)
        first.kill()
        run, flushed = killed(running, 0.7)
    offline = everloop(client, "runs", "sync", EVERLOOP_URL=url)
    assert offline.returncode == 9
    with server(home, port):
        sent = everloop(client, "runs", "sync", EVERLOOP_URL=url)
        assert sent.returncode == 0, sent.stderr
    assert check(home, run, flushed).status == "killed"


def test_what_was_recorded_offline_is_sent_as_it_was(home: Path) -> None:
    body = """
with el.run('trial', 'away', tags={'kind': 'gbm'}) as run:
    run.log_metric('loss', 0.5)
    run.log_text('hello', 'notes/a.txt')
    print(run.id)
"""
    out, problems = trainer(home, body, EVERLOOP_OFFLINE="1").communicate(timeout=60)
    assert problems == ""
    run = out.splitlines()[0]
    assert not (home / "catalog.db").exists()
    dry = msgspec.json.decode(everloop(home, "runs", "sync", "--dry-run").stdout)
    assert [(left["run"], left["name"], left["status"], left["points"]) for left in dry] == [
        (run, "away", "finished", 1)
    ]
    assert everloop(home, "runs", "sync", str(home / "journals")).returncode == 0
    with el.open(home) as ever:
        found = ever.runs.get(run)
        paths = [artifact.path for artifact in ever.runs.artifacts(run)]
    assert (found.status, found.name, found.tags, found.metrics) == ("finished", "away", {"kind": "gbm"}, {"loss": 0.5})
    assert paths == ["console.txt", "notes/a.txt"]
    assert found.started < found.ended


def test_without_its_server_a_training_goes_on_and_warns_once(home: Path) -> None:
    body = "with el.run('trial') as run:\n    run.log_metric('loss', 0.5)\n    time.sleep(2)\nprint('trained')"
    watched = "from everloop.sdk.recording import shipper\nshipper.time = Watch\n"
    body = f"class Watch:\n    monotonic = time.monotonic\n    sleep = lambda _: print('waited')\n{watched}{body}"
    out, problems = trainer(home, body, EVERLOOP_URL=f"http://127.0.0.1:{free_port()}").communicate(timeout=60)
    assert out == "trained\n"
    assert problems.count("did not answer") == 1
    assert "everloop runs sync" in problems


def test_one_that_is_being_recorded_is_left_alone(home: Path, ever: Everloop) -> None:
    with el.run("trial", platform=ever) as run:
        run.flush()
        left = msgspec.json.decode(everloop(home, "runs", "sync").stdout)
    assert [(one["run"], one["outcome"]) for one in left] == [(run.id, "in use")]
