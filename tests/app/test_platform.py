"""The one way to call a use case: arguments, permission, unit of work, answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from everloop.governance.entities import Principal
from everloop.kernel.clock import SharedClock
from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured, NotFound, PermissionDenied

READER = Principal("rita", ("reader",))


def test_a_use_case_is_called_by_name(platform: Platform) -> None:
    assert platform.call("experiments.create", {"name": "delay"}).name == "delay"


def test_an_unknown_one_is_not_found(platform: Platform) -> None:
    with pytest.raises(NotFound, match=r"experiments\.burn"):
        platform.call("experiments.burn", {})


def test_the_answer_is_there_for_the_next_call(platform: Platform) -> None:
    platform.call("experiments.create", {"name": "delay"})
    assert [found.name for found in platform.call("experiments.list", {})] == ["delay"]


def test_who_may_not_changes_nothing(platform: Platform) -> None:
    with pytest.raises(PermissionDenied, match="rita"):
        platform.call("experiments.create", {"name": "delay"}, principal=READER)
    assert platform.call("experiments.list", {}, principal=READER) == []


def test_permission_is_asked_before_arguments(platform: Platform) -> None:
    with pytest.raises(PermissionDenied):
        platform.call("experiments.create", {"nonsense": 1}, principal=READER)


def test_a_call_that_fails_changes_nothing(platform: Platform) -> None:
    platform.call("experiments.create", {"name": "delay"})
    before = platform.call("audit.verify", {})
    with pytest.raises(Conflict):
        platform.call("experiments.create", {"name": "delay"})
    assert platform.call("audit.verify", {}) == before


def test_projects_do_not_see_each_other(platform: Platform) -> None:
    platform.call("experiments.create", {"name": "delay"}, project="one")
    platform.call("experiments.create", {"name": "delay"}, project="two")
    assert platform.call("experiments.list", {}) == []


@pytest.mark.parametrize("project", ["a/b", "../x", " ", "a b", "x" * 129])
def test_a_project_has_a_name_like_everything_else(platform: Platform, project: str) -> None:
    with pytest.raises(InvalidInput, match="project"):
        platform.call("experiments.list", {}, project=project)


def test_the_ledger_says_who_did_it(platform: Platform) -> None:
    ada = Principal("ada", ("contributor",))
    platform.call("experiments.create", {"name": "delay"}, principal=ada)
    assert platform.call("audit.entries", {})[0].principal == "ada"


def test_the_session_of_a_call_is_the_active_one(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    from everloop.catalog.session import active_session

    seen: list[Session] = []
    usecase = platform.usecase("experiments.list")
    monkeypatch.setattr(usecase, "function", lambda session, **_: seen.append(active_session()))
    platform.call("experiments.list", {})
    assert seen[0].project == "default"


def test_a_home_that_cannot_be_made_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="home"):
        open_platform(load({"home": str(tmp_path / "file" / "x")}, {}, tmp_path))


def test_a_home_is_for_its_owner_alone(platform: Platform, home: Path) -> None:
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_shared_clock_is_read_from_the_home(home: Path, tmp_path: Path) -> None:
    opened = open_platform(load({"home": str(home), "clock": "shared"}, {}, tmp_path))
    other = SharedClock(home / "clock")
    other.advance(other.now().replace(year=2013))
    assert opened.resources.clock.now().year == 2013
    opened.close()


def test_opening_again_finds_what_was_kept(home: Path, tmp_path: Path) -> None:
    for expected in ([], ["delay"]):
        opened = open_platform(load({"home": str(home)}, {}, tmp_path))
        assert [found.name for found in opened.call("experiments.list", {})] == expected
        if not expected:
            opened.call("experiments.create", {"name": "delay"})
        opened.close()
