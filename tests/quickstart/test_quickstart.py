"""The README's quickstart, executed word for word: a fresh folder, an empty home, and only the tools on the PATH."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from everloop.app.examples import example_folder
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
PORTS = {"7410": 0, "7411": 1}
PATIENCE = 280.0
"""Seconds for what takes 20 on an idle machine."""
LONGEST = 40
"""So many lines of code a quickstart may have."""


def blocks(language: str) -> list[str]:
    """The code blocks of the README's quickstart in a language."""
    text = (ROOT / "README.md").read_text()
    section = text.partition("## Quickstart")[2].partition("\n## ")[0]
    return [code for found, code in BLOCK.findall(section) if found == language]


def newcomer(folder: Path, port: int) -> dict[str, str]:
    """The environment of somebody who has just installed Everloop."""
    (folder / "home").mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    return {"HOME": str(folder / "home"), "PATH": path, "LANG": "C.UTF-8", "EVERLOOP_PORT": str(port)}


def test_the_quickstart_is_short() -> None:
    lines = [line for code in (*blocks("sh"), *blocks("python")) for line in code.splitlines() if line.strip()]
    assert 10 < len(lines) <= LONGEST


def test_the_loop_in_the_readme_is_the_one_that_init_writes() -> None:
    (loop,) = blocks("python")
    assert loop in (example_folder("parcels") / "project.py").read_text()


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """What the quickstart's commands printed, and the folder of the project that they made."""
    folder, port = tmp_path_factory.mktemp("newcomer"), two_free_ports()
    script = "\n".join(blocks("sh"))
    for written, offset in PORTS.items():
        script = script.replace(written, str(port + offset))
    waiting = script.replace("kill %1", "kill %1; wait %1; echo stopped: $?")
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", waiting],
        cwd=folder,
        env=newcomer(folder, port),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    log = folder / "parcels" / "up.log"
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}\n{log.read_text() if log.exists() else ''}"
    yield ran.stdout, folder / "parcels"
    assert not answers(port), "it still runs"


def two_free_ports() -> int:
    """A port that is free, as is the one after it."""
    while True:
        port = free_port()
        if port < 60_000 and not answers(port + 1):
            return port


def answers(port: int) -> bool:
    """Whether somebody answers there."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1)
    except httpx.TransportError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.timeout(300)
class TestQuickstart:
    def test_the_endpoint_answers_with_features_that_it_knows(self, said: tuple[str, Path]) -> None:
        answer = msgspec.json.decode((said[1] / "answer.json").read_bytes())
        assert 0 < answer["predictions"][0] < 1
        assert answer["model_version"] == "1"
        assert re.search(r"depots.queue=\d", said[0]), "the online store was empty"

    @pytest.mark.parametrize(
        "expected",
        [
            "loop late, revision 1",
            '{"accepted":1,"duplicates":0}',
            "champion   late@1, promoted",
            "endpoint late: deployment 1 100 % (stable)",
            "labelled label:parcels/late@x1",
            "derived_from dataset:parcels/parcels@1",
            "held: the store has them",
            "2 candidates, 1 promoted, 1 stopped",
            "late@champion is packed into late.pyz",
            "stopped: 0",
        ],
    )
    def test_the_commands_tell_what_they_did(self, said: tuple[str, Path], expected: str) -> None:
        assert expected in said[0]

    def test_the_champion_is_reproduced_and_the_ledger_intact(self, said: tuple[str, Path]) -> None:
        assert re.search(r"equal +True", said[0])
        assert re.search(r"intact +True", said[0])

    def test_the_simulation_compares_policies(self, said: tuple[str, Path]) -> None:
        assert re.findall(r"^(never|monthly|loop) +\d{3,4} ", said[0], re.MULTILINE)[:3] == ["never", "monthly", "loop"]

    def test_the_processes_say_where_they_listen_and_complain_of_nothing(self, said: tuple[str, Path]) -> None:
        lines = (said[1] / "up.log").read_text().splitlines()
        assert {line.partition(":")[0] for line in lines} == {
            "everloop server",
            "everloop controller",
            "everloop serving late",
        }, lines

    def test_the_package_runs_with_python_alone(self, said: tuple[str, Path]) -> None:
        columns = {"depots.queue": [10.0, 40.0], "depots.queue_mean_12h": [20.0, 20.0], "weight": [0.1, 9.0]}
        ran = subprocess.run(
            [sys.executable, "late.pyz", "predict"],
            cwd=said[1],
            input=msgspec.json.encode({"columns": columns}),
            capture_output=True,
            check=True,
        )
        light, heavy = msgspec.json.decode(ran.stdout)["scores"]
        assert light < heavy

    def test_the_installation_is_sound_and_settings_tell_their_origin(self, said: tuple[str, Path]) -> None:
        environment = {"HOME": "/nowhere", "PATH": os.environ["PATH"]}
        for words, expected in ((("doctor",), "ledger"), (("settings",), "everloop.toml")):
            ran = subprocess.run(
                [sys.executable, "-m", "everloop", *words],
                cwd=said[1],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert expected in ran.stdout
