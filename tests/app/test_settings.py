"""Settings: where each comes from, and what is wrong with those that are."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.app.settings import FILE, Settings, load, variable_of
from everloop.kernel.errors import Misconfigured


def toml(folder: Path, text: str) -> None:
    """Write an everloop.toml."""
    (folder / FILE).write_text(text)


def test_arguments_go_over_the_environment_over_the_file_over_the_defaults(tmp_path: Path) -> None:
    toml(tmp_path, 'project = "file"\nport = 1\nmodule = "m"')
    loaded = load({"project": "argument"}, {"EVERLOOP_PROJECT": "variable", "EVERLOOP_PORT": "2"}, tmp_path)
    values = loaded.values
    assert (values.project, values.port, values.module, values.host) == ("argument", 2, "m", "127.0.0.1")
    assert loaded.origins == {"project": "argument", "port": "environment", "module": FILE}


def test_the_file_is_found_in_a_folder_above(tmp_path: Path) -> None:
    toml(tmp_path, 'project = "above"')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    loaded = load(None, {}, below)
    assert loaded.values.project == "above"
    assert loaded.folder == tmp_path


def test_the_home_stands_beside_the_file(tmp_path: Path) -> None:
    toml(tmp_path, 'home = "kept"')
    below = tmp_path / "a"
    below.mkdir()
    assert load(None, {}, below).values.home == str(tmp_path / "kept")


def test_an_argument_that_is_none_is_not_given(tmp_path: Path) -> None:
    assert load({"project": None}, {}, tmp_path).values.project == "default"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", "colour"),
        ('port = "many"', "port"),
        ("port = [1]", "port"),
        ('clock = "sundial"', "clock"),
        ('authentication = "never"', "authentication"),
        ("port = ", "TOML"),
        ("\0", "TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    toml(tmp_path, text)
    with pytest.raises(Misconfigured, match=words):
        load(None, {}, tmp_path)


def test_a_wrong_variable_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="port") as raised:
        load(None, {"EVERLOOP_PORT": "x"}, tmp_path)
    assert "EVERLOOP_PORT" in raised.value.hint


def test_an_unknown_setting_is_named_with_its_file_and_what_there_is(tmp_path: Path) -> None:
    toml(tmp_path, "prot = 1")
    with pytest.raises(Misconfigured, match="prot") as raised:
        load(None, {}, tmp_path)
    assert str(tmp_path / "everloop.toml") in raised.value.hint
    assert "port," in raised.value.hint


def test_lists_are_separated_by_commas_in_a_variable(tmp_path: Path) -> None:
    assert load(None, {"EVERLOOP_ALLOWED_HOSTS": "a, b,"}, tmp_path).values.allowed_hosts == ("a", "b")


def test_the_table_has_every_setting_with_its_variable_and_origin(tmp_path: Path) -> None:
    table = {row.key: row for row in load({"port": 1}, {}, tmp_path).table()}
    assert set(table) == set(Settings.__struct_fields__)
    assert (table["port"].value, table["port"].origin, table["port"].variable) == ("1", "argument", "EVERLOOP_PORT")
    assert table["host"].origin == "default"


def test_the_table_shows_no_secret(tmp_path: Path) -> None:
    assert "s3cret" not in str(load({"token": "s3cret"}, {}, tmp_path).table())


def test_a_password_in_a_url_is_no_business_of_the_table(tmp_path: Path) -> None:
    loaded = load({"database_url": "postgresql://me:s3cret@host/db"}, {}, tmp_path)
    assert "s3cret" not in str(loaded.table())
    assert "host/db" in str(loaded.table())


def test_a_hooks_secret_path_is_no_business_of_the_table_either(tmp_path: Path) -> None:
    loaded = load(
        {"channels": ("https://hooks.test/services/s3cret?x=s3cret", "file:///tmp/alerts.jsonl")}, {}, tmp_path
    )
    assert "s3cret" not in str(loaded.table())
    assert "https://hooks.test/…, file:///tmp/alerts.jsonl" in str(loaded.table())


@pytest.mark.parametrize("key", Settings.__struct_fields__)
def test_every_setting_has_a_variable(tmp_path: Path, key: str) -> None:
    assert variable_of(key) == f"EVERLOOP_{key.upper()}"
