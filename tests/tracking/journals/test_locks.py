"""Locks between processes, by real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from everloop.tracking.journals import locks

HOLD = "from everloop.tracking.journals import locks; from pathlib import Path; import sys; "


def elsewhere(path: Path) -> bool:
    """Whether another process can take a lock."""
    code = f"{HOLD} sys.exit(not locks.hold(Path({str(path)!r})))"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_that_is_held_cannot_be_taken_by_anybody(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert locks.hold(path)
    assert not locks.hold(path)
    assert not elsewhere(path)
    locks.release(path)
    assert elsewhere(path)


def test_a_process_that_was_killed_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    code = f"{HOLD} locks.hold(Path({str(path)!r})); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert not locks.is_free(path)
        holder.kill()
        holder.wait()
        assert locks.is_free(path)


def test_a_forked_process_holds_none_and_takes_none_away(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    locks.hold(path)
    child = os.fork()
    if child == 0:
        os._exit(0 if not locks.hold(path) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert not elsewhere(path)
    locks.release(path)


def test_one_whose_file_was_removed_can_be_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    locks.hold(path)
    locks.release(path, remove=True)
    assert not path.exists()
    assert locks.hold(path)
    locks.release(path)


def test_asking_leaves_no_file_behind(tmp_path: Path) -> None:
    assert locks.is_free(tmp_path / "a.lock")
    assert list(tmp_path.iterdir()) == []
