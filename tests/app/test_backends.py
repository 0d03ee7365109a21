"""Backends are found by entry point; one that is missing says what to install."""

from __future__ import annotations

from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from everloop.app import backends
from everloop.app.backends import OURS
from everloop.app.doctor import KINDS
from everloop.kernel.errors import Misconfigured


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in backends.names(kind)])
def test_every_backend_that_is_registered_can_be_loaded(kind: str, name: str) -> None:
    assert callable(backends.load(kind, name))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_backend(kind: str) -> None:
    assert backends.names(kind)


@pytest.mark.parametrize("kind", OURS)
def test_what_is_found_without_looking_is_what_is_registered(kind: str) -> None:
    registered = {point.name: point.value for point in metadata.entry_points(group=f"everloop.{kind}")}
    assert registered == OURS[kind]


def test_an_unknown_backend_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(Misconfigured, match="'oracle'") as caught:
        backends.load("databases", "oracle")
    assert caught.value.hint == "Installed: postgresql, sqlite."


def test_a_backend_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(**wanted: str) -> Any:
        return [EntryPoint("cobol", "no_such_library:open_flavor", "everloop.flavors")]

    monkeypatch.setattr(metadata, "entry_points", points)
    with pytest.raises(Misconfigured, match="needs no_such_library") as caught:
        backends.load("flavors", "cobol")
    assert "pip install" in caught.value.hint
