"""Checkpoints: which is the newest, and what of it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

import everloop as el
from everloop.kernel.errors import InvalidInput
from everloop.sdk.platform import Everloop
from everloop.sdk.recording.checkpoints import latest, named
from everloop.store.entities import Digest
from everloop.tracking.entities import Artifact


def at(path: str) -> Artifact:
    return Artifact(path, Digest("0" * 64), 1)


def test_the_newest_is_the_one_with_the_largest_step() -> None:
    paths = ["checkpoints/000000000009/a", "checkpoints/000000000010/b/c", "model", "checkpoints/x/a", "checkpoints/1"]
    assert latest(map(at, paths)) == (10, {"b/c": at("checkpoints/000000000010/b/c")})


def test_without_any_there_is_no_newest() -> None:
    assert latest([at("model")]) is None


@pytest.mark.parametrize(("step", "files"), [(-1, {"a": b""}), (10**12, {"a": b""}), (0, {}), (0, {"../a": b""})])
def test_one_that_makes_no_sense_is_refused(step: int, files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInput):
        named(step, files)


def test_a_folder_comes_back_as_it_was(ever: Everloop, tmp_path: Path) -> None:
    (tmp_path / "state" / "deep").mkdir(parents=True)
    (tmp_path / "state" / "deep" / "weights").write_bytes(b"w")
    (tmp_path / "state" / "optimizer").write_bytes(b"o")
    with el.run(platform=ever) as run:
        assert run.latest_checkpoint() is None
        run.checkpoint(1, {"early": b"e"})
        run.checkpoint(2, tmp_path / "state")
        found = run.latest_checkpoint(tmp_path / "back")
    assert found is not None
    assert (found.step, sorted(found.files)) == (2, ["deep/weights", "optimizer"])
    assert (tmp_path / "back" / "deep" / "weights").read_bytes() == b"w"


def test_offline_it_comes_from_the_journal(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("EVERLOOP_OFFLINE", "1")
    monkeypatch.setenv("EVERLOOP_HOME", str(home))
    with el.run() as run:
        run.checkpoint(3, {"a": b"three"})
        found = run.latest_checkpoint()
    assert found is not None
    assert found.files["a"].read_bytes() == b"three"
