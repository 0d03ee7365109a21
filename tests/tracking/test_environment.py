"""Environment capture keeps what matters, and no secret."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import distributions
from pathlib import Path

import msgspec
import pytest

from everloop.catalog.session import Session
from everloop.store.entities import Digest
from everloop.tracking import service
from everloop.tracking.entities import Environment
from everloop.tracking.environment import MASK, capture, command_line, packages


def test_it_says_what_the_run_ran_in() -> None:
    found = capture({"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "2", "TZ": "UTC"})
    assert found.python == platform.python_version()
    assert found.packages["msgspec"] == msgspec.__version__
    assert (found.hash_seed, found.threads, found.cpu_count > 0) == ("0", {"OMP_NUM_THREADS": "2"}, True)
    assert found.variables == {"PYTHONHASHSEED": "0", "TZ": "UTC"}


def test_every_installed_package_is_in_it_with_the_version_that_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, number in (("first", "2.0"), ("second", "3.0")):
        (tmp_path / place / "Both-1.dist-info").mkdir(parents=True)
        (tmp_path / place / "Both-1.dist-info" / "METADATA").write_text(f"Name: Both\nVersion: {number}\n\nName: no")
        monkeypatch.syspath_prepend(tmp_path / place)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), *sys.path])
    packages.cache_clear()
    found = packages()
    packages.cache_clear()
    assert found.keys() == {each.name for each in distributions()}
    assert found["Both"] == "2.0"


def test_a_hash_seed_that_was_not_set_is_random() -> None:
    assert capture({}).hash_seed == "random"


def test_a_secret_in_the_environment_is_never_kept() -> None:
    secrets = {"AWS_SECRET_ACCESS_KEY": "s3cret", "EVERLOOP_TOKEN": "s3cret", "DATABASE_URL": "postgresql://u:s3cret@h"}
    assert b"s3cret" not in msgspec.json.encode(capture(secrets))


def test_a_run_has_the_address_of_its_environment(session: Session) -> None:
    run = service.start(session, "trial")
    kept = msgspec.json.decode(session.store.get(Digest(run.environment)), type=Environment)
    assert kept == capture()


def test_it_says_on_what_machine() -> None:
    found = capture({})
    assert platform.release() in found.system
    assert found.memory > 1 << 20
    assert found.command


@pytest.mark.parametrize(
    "words",
    [
        ["--token", "s3cret"],
        ["--api-key=s3cret"],
        ["--apiKey", "s3cret"],
        ["password=s3cret"],
        ["AWS_SECRET_ACCESS_KEY=s3cret"],
        ["-p", "--db-password", "s3cret"],
        ["postgresql://u:s3cret@host/db"],
        ["https://s3cret@host/repository.git"],
        ["https://host/?access_token=s3cret&x=1"],
        ["-c", "connect('s3cret')"],
        ["ghp_s3cretAbCdEfGhIjKlMnOpQrStUvWxYz"],
        ["--header", "Bearer eyJs3cretAbCdEfGhIjKlMnOp"],
    ],
)
def test_a_secret_on_the_command_line_is_masked(words: list[str]) -> None:
    told = " ".join(command_line(["python", "train.py", *words]))
    assert "s3cret" not in told
    assert MASK in told
    assert told.startswith("python train.py")


@pytest.mark.parametrize(
    "word",
    [
        "--learning-rate=0.1",
        "--monkey",
        "--max-tokens=512",
        "--keys=a,b",
        "data/2026-01-01/part-000.parquet",
        "/home/somebody/runs/01a205a3b5458ef4d0f6d2e66152d98f/train.py",
        "experiment-with-a-rather-long-name",
        "s3://bucket/prefix",
    ],
)
def test_what_is_no_secret_stays(word: str) -> None:
    assert command_line(["python", "train.py", word, "next"]) == ("python", "train.py", word, "next")


def test_a_runs_environment_of_before_can_still_be_read() -> None:
    old = {"python": "3.11", "platform": "linux", "cpu_count": 1, "packages": {}, "threads": {}, "variables": {}}
    assert msgspec.convert(old | {"hash_seed": "0"}, Environment).command == ()
