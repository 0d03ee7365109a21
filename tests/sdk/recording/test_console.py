"""What a process prints, as a run keeps it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.sdk.recording import console
from everloop.sdk.recording.console import Console, Lines, Tee
from tests.sdk.recording.conftest import everloop, trainer


def collected(*parts: str) -> str:
    kept: list[str] = []
    lines = Lines(kept.append)
    for part in parts:
        lines.write(part)
    lines.end()
    return "".join(kept)


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        (["one\ntwo\n"], "one\ntwo\n"),
        (["one"], "one\n"),
        (["1%\r", "50%\r", "100%\n", "done\n"], "100%\ndone\n"),
        (["\r1%", "\r2%"], "2%\n"),
        (["windows\r\n", "windows\r", "\nnext"], "windows\nwindows\nnext\n"),
        ([], ""),
    ],
)
def test_a_progress_bar_leaves_the_line_that_it_ended_with(parts: list[str], kept: str) -> None:
    assert collected(*parts) == kept


@given(st.lists(st.text("ab\r\n", max_size=6), max_size=8))
def test_it_does_not_matter_how_writes_are_cut(parts: list[str]) -> None:
    assert collected(*parts) == collected("".join(parts))


def test_only_so_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LONGEST", 10)
    assert collected("123456\n", "123456\n", "123456\n").endswith("characters are kept)\n")


def test_what_is_printed_is_still_seen_and_the_stream_is_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[str] = []
    before = sys.stdout
    listening = Console(kept.append, "python")
    listening.start()
    sys.stdout.write("hello\n")
    sys.stderr.write("problem\n")
    listening.stop()
    assert (kept, sys.stdout) == (["hello\n", "problem\n"], before)
    assert capsys.readouterr() == ("hello\n", "problem\n")


def test_a_stream_that_somebody_wrapped_meanwhile_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    listening = Console(kept.append, "python")
    listening.start()
    other = io.StringIO()
    monkeypatch.setattr(sys, "stdout", other)
    listening.stop()
    assert sys.stdout is other


def test_a_tee_is_the_stream_in_all_else() -> None:
    stream = io.StringIO()
    tee = Tee(stream)
    tee.writelines(["a", "b"])
    assert (tee.getvalue(), tee.isatty()) == ("ab", False)  # type: ignore[operator]  # it is the stream's


def printed(home: Path, run: str) -> str:
    found = everloop(home, "runs", "artifacts", run).stdout
    digest = found.partition('"digest":"')[2].partition('"')[0]
    import everloop as el

    with el.open(home) as ever:
        return ever.get_object(digest).decode()


@pytest.mark.slow
def test_what_children_print_is_kept_where_that_is_wanted(home: Path) -> None:
    body = "import subprocess\nwith el.run() as run:\n    print('one', flush=True)\n    "
    body += "subprocess.run(['echo', 'two'])\nprint(run.id)"
    out, problems = trainer(home, body, EVERLOOP_CONSOLE="all").communicate(timeout=60)
    assert problems == ""
    *seen, run = out.split()
    assert seen == ["one", "two"]
    assert printed(home, run) == "one\ntwo\n"


@pytest.mark.slow
def test_nothing_is_kept_where_nothing_is_wanted(home: Path) -> None:
    body = "with el.run() as run:\n    print('one')\nprint(run.id)"
    out, _ = trainer(home, body, EVERLOOP_CONSOLE="off").communicate(timeout=60)
    assert everloop(home, "runs", "artifacts", out.split()[1]).stdout.strip() == "[]"
