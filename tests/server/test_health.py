"""Whether the process lives, and whether it can work."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from everloop.app.platform import Platform
from everloop.kernel.errors import Unavailable
from everloop.server.health import readiness
from everloop.store.service import Store


def test_a_platform_that_works_is_ready(http: TestClient) -> None:
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert [check["name"] for check in answer.json()["checks"]] == ["database", "store"]


def test_a_process_lives_also_when_it_cannot_work(http: TestClient, platform: Platform, home: Path) -> None:
    platform.resources.database.close()
    (home / "catalog.db").write_bytes(b"no database at all" * 100)
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == 503


def test_a_database_that_is_gone_is_named(platform: Platform, home: Path) -> None:
    platform.resources.database.close()
    (home / "catalog.db").write_bytes(b"no database at all" * 100)
    checks = {check.name: check for check in readiness(platform).checks}
    assert not checks["database"].ok
    assert checks["store"].ok


def test_a_store_that_does_not_answer_is_named(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Store, data: bytes) -> None:
        raise Unavailable("The bucket does not answer.")

    monkeypatch.setattr(Store, "put", fail)
    checks = {check.name: check for check in readiness(platform).checks}
    assert checks["store"].message == "The bucket does not answer."
    assert checks["database"].ok
