"""`doctor`, `settings`, `completion`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from everloop.app.settings import Settings
from tests.cli.conftest import Everloop


def test_doctor_says_how_everything_is(bare: Everloop, tmp_path: Path) -> None:
    ran = bare("doctor", "--home", str(tmp_path / "home"))
    assert "✓ python" in ran.out
    assert "clock" in ran.out


def test_doctor_ends_with_an_exit_code_when_something_is_broken(bare: Everloop, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    ran = bare("doctor", "--home", str(tmp_path / "home"))
    assert ran.code == 10
    assert "✗ home" in ran.out


def test_doctor_answers_json_with_the_same_exit_code(bare: Everloop, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    ran = bare("doctor", "--home", str(tmp_path / "home"), "--json")
    states = {finding["name"]: finding["state"] for finding in ran.json}
    assert (ran.code, states["home"]) == (10, "broken")


def test_settings_shows_every_key_and_where_it_came_from(bare: Everloop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_PORT", "7777")
    rows = {row["key"]: row for row in bare("settings", "--project", "p", "--json").json}
    assert set(rows) == set(Settings.__struct_fields__)
    assert (rows["port"]["value"], rows["port"]["origin"]) == ("7777", "environment")
    assert (rows["project"]["value"], rows["project"]["origin"]) == ("p", "argument")


def test_a_wrong_setting_is_misconfigured(bare: Everloop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_PORT", "many")
    ran = bare("settings", "--json")
    assert (ran.code, ran.problem["code"]) == (10, "misconfigured")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(bare: Everloop, shell: str) -> None:
    ran = bare("completion", shell)
    assert ran.code == 0
    assert "_EVERLOOP_COMPLETE" in ran.out


def test_the_script_for_bash_is_valid(bare: Everloop) -> None:
    script = bare("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(("words", "found"), [("everloop mo", "models"), ("everloop models set", "set-alias")])
def test_completion_knows_commands_and_groups(words: str, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    environment = {"_EVERLOOP_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-c", "from everloop.cli.main import main; main()"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found in ran.stdout
