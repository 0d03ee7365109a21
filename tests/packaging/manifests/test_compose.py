"""Compose: services that Compose's own schema takes, without privileges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from everloop.packaging.manifests.compose import written_for
from tests.packaging.manifests.conftest import divided, judged, sized, workload, written


def services(one: Any) -> Any:
    return yaml.safe_load(written_for(one)[0]["compose.yaml"])["services"]


@pytest.mark.slow
@pytest.mark.parametrize("one", [divided(95, 5), workload(runtime="platform"), workload(size=sized(gpu=2))])
def test_composes_own_schema_takes_the_file(tmp_path: Path, one: Any) -> None:
    folder = written(tmp_path, written_for(one)[0])
    check = Path(sys.prefix) / "bin" / "check-jsonschema"
    assert judged([check, "--builtin-schema", "vendor.compose-spec", folder / "compose.yaml"]).startswith("ok")


def test_a_service_is_read_only_and_without_capabilities() -> None:
    (only,) = services(workload()).values()
    assert only["read_only"] is True
    assert only["cap_drop"] == ["ALL"]
    assert only["security_opt"] == ["no-new-privileges:true"]


def test_each_release_has_a_port_of_its_own_on_this_machine_alone() -> None:
    found = services(divided(90, 5, 5))
    assert [one["ports"] for one in found.values()] == [[f"127.0.0.1:{port}:8080"] for port in (8080, 8081, 8082)]


def test_the_health_check_is_a_program_that_fails_where_nobody_answers() -> None:
    (only,) = services(workload()).values()
    command, *words = only["healthcheck"]["test"][1:]
    assert command == "python3"
    ran = subprocess.run([sys.executable, *words], capture_output=True, check=False)
    assert ran.returncode != 0


def test_the_health_check_asks_what_the_server_answers() -> None:
    from everloop.server.security import PUBLIC

    (only,) = services(workload()).values()
    assert any(f":8080{path}'" in only["healthcheck"]["test"][-1] for path in PUBLIC)


def test_compose_is_said_to_divide_nothing() -> None:
    assert any("divides no traffic" in note for note in written_for(divided(95, 5))[1])
