"""Environment capture keeps what matters, and no secret."""

from __future__ import annotations

import platform

import msgspec

from everloop.catalog.session import Session
from everloop.store.entities import Digest
from everloop.tracking import service
from everloop.tracking.entities import Environment
from everloop.tracking.environment import capture


def test_it_says_what_the_run_ran_in() -> None:
    found = capture({"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "2", "TZ": "UTC"})
    assert found.python == platform.python_version()
    assert found.packages["msgspec"] == msgspec.__version__
    assert (found.hash_seed, found.threads, found.cpu_count > 0) == ("0", {"OMP_NUM_THREADS": "2"}, True)
    assert found.variables == {"PYTHONHASHSEED": "0", "TZ": "UTC"}


def test_a_hash_seed_that_was_not_set_is_random() -> None:
    assert capture({}).hash_seed == "random"


def test_a_secret_in_the_environment_is_never_kept() -> None:
    secrets = {"AWS_SECRET_ACCESS_KEY": "s3cret", "EVERLOOP_TOKEN": "s3cret", "DATABASE_URL": "postgresql://u:s3cret@h"}
    assert b"s3cret" not in msgspec.json.encode(capture(secrets))


def test_a_run_has_the_address_of_its_environment(session: Session) -> None:
    run = service.start(session, "trial")
    kept = msgspec.json.decode(session.store.get(Digest(run.environment)), type=Environment)
    assert kept == capture()
