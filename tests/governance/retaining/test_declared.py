"""A project says in its everloop.toml what runs keep, and commands agree with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.app.settings import load
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import Conflict, InvalidInput, Misconfigured
from tests.governance.runkeeping.test_service import hidden


def declared(platform: Platform, **rules: object) -> None:
    platform.call("retention.declare", {"policies": {"usual": rules}})


@pytest.mark.parametrize(
    "wrong", ["[retention.a]\nrules = 1\n", "[retention]\na = 3\n", '[retention.a]\ncheckpoints = "x"\n']
)
def test_a_policy_that_is_misspelled_is_told_of_when_settings_are_read(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "everloop.toml").write_text(wrong)
    with pytest.raises(Misconfigured, match="retention"):
        load(environment={}, folder=tmp_path)


def test_the_variable_holds_json_and_is_shown_so(tmp_path: Path) -> None:
    loaded = load(environment={"EVERLOOP_RETENTION": '{"a":{"deleted_for":"7d"}}'}, folder=tmp_path)
    assert loaded.values.retention["a"].deleted_for == "7d"
    (shown,) = [it.value for it in loaded.table() if it.key == "retention"]
    assert '"deleted_for":"7d"' in shown
    with pytest.raises(Misconfigured, match="EVERLOOP_RETENTION is not JSON"):
        load(environment={"EVERLOOP_RETENTION": "7d"}, folder=tmp_path)


def test_a_declared_policy_is_changed_in_the_project_only(platform: Platform) -> None:
    declared(platform, deleted_for="7d")
    with pytest.raises(Conflict, match=r"everloop\.toml"):
        platform.call("retention.set", {"name": "usual", "rules": {"deleted_for": "90d"}})
    with pytest.raises(Conflict, match=r"everloop\.toml"):
        platform.call("retention.remove", {"name": "usual"})


def test_declaring_the_same_again_tells_the_ledger_nothing(platform: Platform) -> None:
    declared(platform, checkpoints=2)
    before = platform.call("retention.list", {})
    declared(platform, checkpoints=2)
    assert platform.call("retention.list", {}) == before
    assert len(platform.call("audit.entries", {"kind": "retention.set"})) == 1


def test_policies_that_were_set_otherwise_stay(platform: Platform) -> None:
    platform.call("retention.set", {"name": "mine", "rules": {"checkpoints": 1}})
    declared(platform, checkpoints=2)
    platform.call("retention.declare", {"policies": {}})
    assert [policy.name for policy in platform.call("retention.list", {})] == ["mine"]


def test_gc_frees_what_the_strictest_policy_lets_go(platform: Platform, clock: SimulatedClock) -> None:
    hidden(platform)
    clock.advance(clock.now() + timedelta(days=10))
    assert platform.call("runs.gc", {}).freed == ()
    declared(platform, deleted_for="20d")
    platform.call("retention.set", {"name": "strict", "rules": {"deleted_for": "7d"}})
    assert len(platform.call("runs.gc", {}).freed) == 1
    assert platform.call("runs.gc", {"older_than": "11d"}).freed == ()


def test_rules_that_cannot_be_meant_are_refused_as_the_command_refuses_them(platform: Platform) -> None:
    with pytest.raises(InvalidInput, match="needs a rule"):
        declared(platform, experiment="e")
    with pytest.raises(InvalidInput):
        declared(platform, deleted_for="soon")
