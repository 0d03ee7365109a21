"""systemd: units that systemd takes, and finds safe."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

import pytest

from everloop.packaging.manifests.systemd import written_for
from tests.packaging.manifests.conftest import divided, judged, tool, workload, written


def test_a_unit_serves_its_own_release_on_its_own_port() -> None:
    files, _ = written_for(divided(95, 5))
    assert "/opt/everloop/late-r1 --port 8080\n" in files["late-r1.service"]
    assert "/opt/everloop/late-r2 --port 8081\n" in files["late-r2.service"]


def test_a_packaged_model_is_reached_from_its_machine_alone_and_reaches_nothing() -> None:
    (text,) = written_for(workload())[0].values()
    assert "IPAddressDeny=any\nIPAddressAllow=localhost\n" in text


def test_what_the_platform_needs_to_know_stands_in_a_file_of_roots() -> None:
    files, notes = written_for(workload(runtime="platform"))
    (text,) = files.values()
    assert "EnvironmentFile=/etc/everloop.env\n" in text
    assert "serve models:/late/1 --port 8080" in text
    assert any("readable by root alone" in note for note in notes)


def test_a_unit_is_held_to_its_size() -> None:
    (text,) = written_for(workload())[0].values()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    assert parser["Service"]["MemoryMax"] == "192M"
    assert parser["Service"]["CPUQuota"] == "100%"


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["package", "platform"])
def test_systemd_takes_the_unit_and_finds_it_safe(tmp_path: Path, runtime: str) -> None:
    analyze = tool("systemd-analyze")
    files = {
        name: re.sub(r"/opt/everloop/venv/bin/\w+", sys.executable, text)  # One that there is here.
        for name, text in written_for(workload(runtime=runtime))[0].items()
    }
    unit = written(tmp_path, files) / "late-v1.service"
    judged([analyze, "verify", unit])
    judged([analyze, "security", "--offline=true", "--threshold=25", unit])
