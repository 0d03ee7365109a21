"""What people are told on the command line of runs, sweeps, traces and models, and how tables fit a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress as Bars

from everloop.app.platform import Platform
from everloop.cli.bars import TerminalBars
from tests.cli.conftest import Everloop

SPANS = [
    {"id": "1" * 16, "name": "answer", "started": 10**18, "ended": 10**18 + 840_000_000, "status": "error"},
    {"id": "2" * 16, "name": "search", "parent": "1" * 16, "started": 10**18 + 1, "ended": 10**18 + 2_000_001},
]


def started(platform: Platform, name: str) -> str:
    """The id of a run."""
    made: str = platform.call("runs.start", {"experiment": "tuning", "name": name, "parameters": {"rate": "0.1"}}).id
    return made


def test_a_comparison_names_each_run_by_the_end_of_its_id(platform: Platform, everloop: Everloop) -> None:
    one, other = started(platform, "one"), started(platform, "other")
    head = everloop("runs", "compare", one, other).out.splitlines()[0]
    assert head.split() == ["what", "key", one[-8:], other[-8:]]


def test_deleted_runs_and_experiments_are_found_by_asking_for_them(platform: Platform, everloop: Everloop) -> None:
    run = started(platform, "gone")
    everloop("runs", "delete", run)
    assert everloop("runs", "search", "--json").json == []
    assert [each["id"] for each in everloop("runs", "search", "--where", "deleted is not null", "--json").json] == [run]
    everloop("experiments", "delete", "tuning")
    assert everloop("experiments", "list", "--json").json == []
    assert "tuning" in everloop("experiments", "list", "--deleted").out


def test_a_trace_is_told_as_the_tree_of_its_spans(everloop: Everloop, tmp_path: Path) -> None:
    (tmp_path / "spans.json").write_text(json.dumps(SPANS))
    everloop("traces", "log", "--id", "tr-1", "--experiment", "bot", "--spans", f"@{tmp_path / 'spans.json'}")
    told = everloop("traces", "get", "tr-1").out
    assert re.search(r"^answer +840 ms +error", told, re.MULTILINE)
    assert re.search(r"^· search +2 ms +unset", told, re.MULTILINE)
    assert "tr-1" in everloop("traces", "search").out


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_on_a_terminal_fits_it_with_ids_whole(platform: Platform, width: int) -> None:
    run = started(platform, "a_run_with_quite_a_long_name")
    printed = on_a_terminal(width, "runs", "search", "--home", str(platform.resources.home))
    assert run in printed
    assert max(len(line) for line in printed.splitlines()) <= width
    assert ("--json has all" in printed) is (width < 200)


def test_news_of_a_piece_of_work_makes_no_other_bar() -> None:
    with Bars(console=Console(file=StringIO())) as drawn:
        bars = TerminalBars(drawn)
        for done, what in enumerate(("tune", "tune, best 0.4", "tune, best 0.2", "other")):
            bars.advance(done, 9, what, "trials")
        assert [(task.description, task.completed) for task in drawn.tasks] == [("tune, best 0.2", 2), ("other", 3)]


def on_a_terminal(width: int, *words: str) -> str:
    """What a command prints on a terminal so wide, without colours."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from everloop.cli.main import main; main()", *words]
    kept = os.environ | {"COLUMNS": str(width), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=kept) as process:
        os.close(theirs)
        found = b""
        while more := _read(ours):
            found += more
        process.wait()
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", found.decode()).replace("\r", "")


def _read(end: int) -> bytes:
    try:
        return os.read(end, 1 << 16)
    except OSError:  # So a terminal says that nobody writes to it any more.
        return b""
