"""Retention policies: what they take, what they leave, and that nothing goes in a dry run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from everloop.app.platform import Platform
from everloop.governance.retaining.entities import Applied
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput, NotFound
from tests.governance.runkeeping.test_service import hidden, registered, run_of, urn


def checkpoint(platform: Platform, run: str, step: int) -> None:
    for name in ("weights", "optimizer"):
        digest = platform.resources.store.put(f"{run} {step} {name}".encode())
        platform.call("runs.log_artifact", {"id": run, "path": f"checkpoints/{step}/{name}", "digest": digest})


def files_of(platform: Platform, run: str) -> list[str]:
    return [it.path for it in platform.call("runs.artifacts", {"id": run})]


def set_rules(platform: Platform, experiment: str = "", **rules: Any) -> None:
    platform.call("retention.set", {"name": "p", "rules": rules, "experiment": experiment})


def applied(platform: Platform) -> Applied:
    report: Applied = platform.call("retention.apply", {"dry_run": False})
    return report


def later(clock: SimulatedClock, **much: float) -> None:
    clock.advance(clock.now() + timedelta(**much))


class TestCheckpoints:
    def test_the_newest_of_a_running_run_stay_by_their_number(self, platform: Platform) -> None:
        run = run_of(platform)
        for step in (9, 10, 2):
            checkpoint(platform, run.id, step)
        set_rules(platform, checkpoints=2)
        (trim,) = applied(platform).trimmed
        assert (trim.paths, trim.files) == (("checkpoints/2",), 2)
        left = [f"checkpoints/{step}/{name}" for step in (10, 9) for name in ("optimizer", "weights")]
        assert sorted(files_of(platform, run.id)) == ["a/file", *left]

    def test_applying_again_takes_nothing_more(self, platform: Platform) -> None:
        run = run_of(platform)
        for step in range(4):
            checkpoint(platform, run.id, step)
        set_rules(platform, checkpoints=1)
        assert applied(platform).bytes > 0
        assert applied(platform).trimmed == ()

    def test_a_dry_run_tells_and_takes_nothing(self, platform: Platform) -> None:
        run = run_of(platform)
        for step in range(3):
            checkpoint(platform, run.id, step)
        set_rules(platform, checkpoints=1)
        before = files_of(platform, run.id)
        assert platform.call("retention.apply", {}).trimmed[0].files == 4
        assert files_of(platform, run.id) == before


class TestFailedMetrics:
    def failed(self, platform: Platform) -> Any:
        run = run_of(platform)
        return platform.call("runs.finish", {"id": run.id, "status": "failed"})

    def test_points_of_failed_runs_go_after_their_time(self, platform: Platform, clock: SimulatedClock) -> None:
        run = self.failed(platform)
        set_rules(platform, failed_metrics_for="30d")
        later(clock, days=29)
        assert applied(platform).trimmed == ()
        later(clock, days=1)
        assert applied(platform).trimmed[0].bytes > 0
        assert platform.call("runs.history", {"id": run.id, "key": "loss"}) == []
        assert platform.call("runs.get", {"id": run.id}).metrics == {}
        assert platform.call("runs.get", {"id": run.id}).parameters == {"depth": "3"}

    def test_searches_learn_of_it(self, platform: Platform, clock: SimulatedClock) -> None:
        self.failed(platform)
        assert len(platform.call("runs.search", {"where": "metrics.loss > 1"})) == 1
        set_rules(platform, failed_metrics_for="1d")
        later(clock, days=2)
        applied(platform)
        assert platform.call("runs.search", {"where": "metrics.loss > 1"}) == []

    def test_a_run_that_goes_on_after_that_counts_anew(self, platform: Platform, clock: SimulatedClock) -> None:
        run = self.failed(platform)
        set_rules(platform, failed_metrics_for="1d")
        later(clock, days=2)
        applied(platform)
        platform.call("runs.resume", {"id": run.id})
        platform.call("runs.log", {"id": run.id, "metrics": [{"key": "loss", "value": 7.0, "step": 99}]})
        platform.call("runs.finish", {"id": run.id})
        (point,) = platform.call("runs.history", {"id": run.id, "key": "loss"})
        assert (point.value, point.step) == (7.0, 99)

    def test_finished_runs_keep_theirs(self, platform: Platform, clock: SimulatedClock) -> None:
        run = run_of(platform)
        platform.call("runs.finish", {"id": run.id})
        set_rules(platform, failed_metrics_for="1d")
        later(clock, days=400)
        assert applied(platform).trimmed == ()
        assert len(platform.call("runs.history", {"id": run.id, "key": "loss"})) == 50


class TestLargeFiles:
    def test_go_when_their_run_has_ended_long_enough_ago(self, platform: Platform, clock: SimulatedClock) -> None:
        run = run_of(platform)
        small = platform.resources.store.put(b"small")
        platform.call("runs.log_artifact", {"id": run.id, "path": "small", "digest": small})
        platform.call("runs.finish", {"id": run.id})
        set_rules(platform, large_files={"over": 10, "after": "90d"})
        assert applied(platform).trimmed == ()
        later(clock, days=90)
        assert applied(platform).trimmed[0].paths == ("a/file",)
        assert files_of(platform, run.id) == ["small"]

    def test_those_of_a_running_run_stay(self, platform: Platform, clock: SimulatedClock) -> None:
        run_of(platform)
        set_rules(platform, large_files={"over": 0, "after": "0s"})
        later(clock, days=90)
        assert applied(platform).trimmed == ()


class TestWhatIsLeftAlone:
    def test_the_run_of_a_model_version_and_what_is_held_keep_all(self, platform: Platform) -> None:
        of_version, held, free = (run_of(platform, "e") for _ in range(3))
        registered(platform, of_version.id)
        platform.call("governance.hold", {"urn": urn(held), "reason": "case 7"})
        for run in (of_version, held, free):
            platform.call("runs.finish", {"id": run.id})
        set_rules(platform, large_files={"over": 0, "after": "0s"})
        report = applied(platform)
        assert [trim.urn for trim in report.trimmed] == [urn(free)]
        assert {kept.urn for kept in report.kept} == {urn(of_version), urn(held)}
        assert files_of(platform, held.id) == ["a/file"]

    def test_experiments_that_a_policy_does_not_name(self, platform: Platform) -> None:
        one, other = run_of(platform, "e"), run_of(platform, "f")
        for run in (one, other):
            platform.call("runs.finish", {"id": run.id})
        set_rules(platform, "f", large_files={"over": 0, "after": "0s"})
        assert [trim.urn for trim in applied(platform).trimmed] == [urn(other)]


def test_what_was_deleted_is_freed_when_its_time_is_over(platform: Platform, clock: SimulatedClock) -> None:
    run = hidden(platform)
    set_rules(platform, deleted_for="7d")
    assert applied(platform).deleted[0].freed == ()
    later(clock, days=8)
    assert applied(platform).deleted[0].freed[0].urn == urn(run)
    with pytest.raises(NotFound):
        platform.call("runs.get", {"id": run.id})


WRONG: tuple[dict[str, Any], ...] = (
    {},
    {"checkpoints": 0},
    {"deleted_for": "soon"},
    {"large_files": {"over": -1, "after": "1d"}},
)


@pytest.mark.parametrize("rules", WRONG)
def test_rules_that_cannot_be_meant_are_refused(platform: Platform, rules: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        set_rules(platform, **rules)


def test_a_policy_that_was_removed_takes_nothing(platform: Platform) -> None:
    run = run_of(platform)
    platform.call("runs.finish", {"id": run.id})
    set_rules(platform, large_files={"over": 0, "after": "0s"})
    platform.call("retention.remove", {"name": "p"})
    assert applied(platform).trimmed == ()
    assert platform.call("retention.list", {}) == []
