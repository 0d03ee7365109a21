"""Policies: what a guarded alias asks of a version, whichever door one comes by."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.kernel.errors import InvalidInput, NotFound, PermissionDenied, Refused
from everloop.registry import rows
from everloop.registry import service as models
from everloop.registry.entities import Approval, ModelVersion
from everloop.registry.policies import gates, rules
from everloop.registry.policies.entities import ApprovalMissing, GateJudgement, Policy
from everloop.store.entities import Digest
from tests.registry.making import ANN, BOB, EVE, registered_by

Move = Callable[[Platform, Principal, int], object]


def call(platform: Platform, usecase: str, who: Principal, /, **arguments: object) -> object:
    """Call a use case as somebody."""
    return platform.call(usecase, arguments, principal=who)


def guarded(platform: Platform, **policy: object) -> None:
    """Guard the aliases of the project."""
    call(platform, "models.set_policy", EVE, policy=Policy(**policy))  # type: ignore[arg-type]


def approve(platform: Platform, who: Principal, version: int = 1, decision: str = "approved", **more: object) -> None:
    """Decide about a version of `delay`."""
    given = {"name": "delay", "version": version, "decision": decision, "reason": "I looked."} | more
    call(platform, "models.approve", who, **given)


DOORS: dict[str, Move] = {
    "set_alias": lambda platform, who, version: call(
        platform, "models.set_alias", who, name="delay", alias="production", version=version
    ),
    "promote": lambda platform, who, version: call(
        platform, "models.promote", who, name="delay", version=version, reason="good", alias="production"
    ),
    "transition": lambda platform, who, version: call(
        platform, "models.transition", who, name="delay", version=version, stage="Production"
    ),
    "transition beside a newer one": lambda platform, who, version: call(
        platform, "models.transition", who, name="delay", version=version, stage="production"
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_moves_a_guarded_alias_for_the_one_who_registered_the_version(platform: Platform, door: str) -> None:
    registered_by(platform, ANN)
    guarded(platform)
    with pytest.raises(ApprovalMissing, match="1 more approval"):
        DOORS[door](platform, ANN, 1)
    approve(platform, ANN)
    with pytest.raises(ApprovalMissing):
        DOORS[door](platform, ANN, 1)
    approve(platform, BOB)
    DOORS[door](platform, ANN, 1)
    with platform.session().begin(write=False) as unit:
        assert rows.alias(unit, "delay", "production").version == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("door", DOORS)
def test_a_refused_move_changes_nothing(platform: Platform, door: str) -> None:
    registered_by(platform, ANN)
    guarded(platform)
    with pytest.raises(Refused):
        DOORS[door](platform, ANN, 1)
    assert platform.call("models.aliases", {"name": "delay"}) == []
    assert platform.call("models.approvals", {"name": "delay", "version": 1}) == []
    assert platform.call("models.version", {"name": "delay", "version": 1}).stage == "None"


def test_a_stage_takes_no_unapproved_version_behind_an_approved_newer_one(platform: Platform) -> None:
    for _ in range(2):
        registered_by(platform, ANN)
    guarded(platform)
    approve(platform, BOB, 2)
    DOORS["transition"](platform, ANN, 2)
    with pytest.raises(ApprovalMissing, match="delay@1 lacks"):
        DOORS["transition beside a newer one"](platform, ANN, 1)


def test_somebody_else_may_promote_what_they_approve(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform)
    alias = call(platform, "models.promote", BOB, name="delay", version=1, reason="I looked at it.")
    assert alias.version == 1  # type: ignore[attr-defined]


def test_a_rejection_withdraws_the_approvals_before_it(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform)
    approve(platform, BOB)
    approve(platform, EVE, decision="rejected")
    with pytest.raises(ApprovalMissing, match="eve rejected it: I looked"):
        DOORS["set_alias"](platform, ANN, 1)
    approve(platform, BOB)
    DOORS["set_alias"](platform, ANN, 1)


def test_one_person_who_approves_twice_is_one_person(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform, approvals=2)
    for _ in range(2):
        approve(platform, BOB)
    with pytest.raises(ApprovalMissing, match=r"1 more approval\(s\).*approved by bob"):
        DOORS["set_alias"](platform, ANN, 1)
    approve(platform, EVE)
    DOORS["set_alias"](platform, ANN, 1)


def test_only_the_named_approvers_count(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform, approvers=("eve",))
    approve(platform, BOB)
    with pytest.raises(ApprovalMissing, match="of eve"):
        DOORS["set_alias"](platform, ANN, 1)
    approve(platform, EVE)
    DOORS["set_alias"](platform, ANN, 1)


def test_the_approval_of_one_version_is_none_of_the_next(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform)
    approve(platform, BOB)
    registered_by(platform, ANN)
    with pytest.raises(ApprovalMissing):
        DOORS["set_alias"](platform, ANN, 2)


def test_approvals_of_other_bytes_do_not_count(platform: Platform) -> None:
    number = registered_by(platform, ANN)
    known = platform.call("models.version", {"name": "delay", "version": number})
    assert isinstance(known, ModelVersion)
    at = known.created
    foreign = Approval("delay", number, Digest("f" * 64), "bob", "approved", "good", {}, at)
    own = Approval("delay", number, known.trained.digest, "bob", "approved", "good", {}, at)
    assert rules.lacks(Policy(), known, [foreign])
    assert rules.lacks(Policy(), known, [own]) == []
    rejected = Approval("delay", number, Digest("f" * 64), "eve", "rejected", "bad", {}, at)
    assert rules.lacks(Policy(), known, [rejected, own]) == []


def test_a_minimum_must_be_measured_and_reached(platform: Platform) -> None:
    for metrics in ({}, {"auc": 0.6}, {"auc": 0.8}):
        registered_by(platform, ANN, metrics=metrics)
    guarded(platform, approvals=0, minimums={"auc": 0.7})
    asked = [call(platform, "models.lacks", ANN, name="delay", version=it, alias="champion") for it in (1, 2, 3)]
    assert asked == [["a measured auc"], ["auc of at least 0.7 (it has 0.6)"], []]


def judge(platform: Platform, passed: bool, gate: str = "latency", version: int = 1) -> None:
    """Have a loop's gate say something of a version of `delay`."""
    with platform.session().begin() as unit:
        known = models.version(unit, "delay", version)
        digest, at = known.trained.digest, unit.clock.now()
        gates.record(unit, known, [GateJudgement("delay", version, digest, gate, passed, "Said.", "loop:p/late", at)])


def test_a_gate_must_have_passed_when_the_platform_asked_it(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform, gates=("latency",))
    approve(platform, BOB)
    judge(platform, False)
    with pytest.raises(ApprovalMissing, match="the gate latency"):
        DOORS["set_alias"](platform, ANN, 1)
    judge(platform, True)
    DOORS["set_alias"](platform, ANN, 1)
    (said,) = call(platform, "models.gates", ANN, name="delay", version=1)  # type: ignore[misc]
    assert (said.gate, said.passed, said.by) == ("latency", True, "loop:p/late")


def test_what_an_approver_writes_of_gates_counts_nothing(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform, gates=("latency",))
    approve(platform, BOB, evidence={"gates": [{"gate": "latency", "name": "latency", "passed": True}]})
    with pytest.raises(ApprovalMissing, match="the gate latency"):
        DOORS["set_alias"](platform, ANN, 1)
    evidence = {"gates": [{"gate": "latency", "passed": True}]}
    with pytest.raises(ApprovalMissing, match="the gate latency"):
        call(platform, "models.promote", BOB, name="delay", version=1, reason="good", evidence=evidence)


def test_what_a_gate_said_of_other_bytes_counts_nothing(platform: Platform) -> None:
    registered_by(platform, ANN)
    with platform.session().begin() as unit:
        known = models.version(unit, "delay", 1)
        other = Digest("f" * 64)
        gates.record(unit, known, [GateJudgement("delay", 1, other, "latency", True, "", "loop:p/late", known.created)])
        assert gates.known(unit, known) == []
        assert rules.missing_of(unit, Policy(approvals=0, gates=("latency",)), known) == ["the gate latency"]


def test_of_two_gates_of_one_name_both_must_pass(platform: Platform) -> None:
    registered_by(platform, ANN)
    with platform.session().begin() as unit:
        known = models.version(unit, "delay", 1)
        one = GateJudgement("delay", 1, known.trained.digest, "better_than", True, "", "loop:p/late", known.created)
        for order in ((False, True), (True, False)):
            gates.record(unit, known, [msgspec.structs.replace(one, passed=passed) for passed in order])
            assert [it.passed for it in gates.known(unit, known)] == [False]


def test_the_ledger_tells_what_gates_said(platform: Platform) -> None:
    registered_by(platform, ANN)
    judge(platform, True)
    (entry,) = platform.call("audit.entries", {"kind": "models.gates_judged"})
    assert entry.event["gates"] == {"latency": True}


def test_the_newest_version_cannot_be_guarded_since_nobody_moves_it(platform: Platform) -> None:
    with pytest.raises(InvalidInput, match="cannot be guarded"):
        guarded(platform, aliases=("latest",))


def test_other_aliases_move_freely(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform)
    call(platform, "models.set_alias", ANN, name="delay", alias="mine", version=1)
    assert call(platform, "models.lacks", ANN, name="delay", version=1, alias="mine") == []


def test_a_models_own_policy_stands_before_that_of_the_project(platform: Platform) -> None:
    registered_by(platform, ANN)
    guarded(platform, approvals=5)
    guarded(platform, approvals=0, model="delay")
    DOORS["set_alias"](platform, ANN, 1)
    assert [it.model for it in platform.call("models.policies", {})] == ["", "delay"]
    platform.call("models.delete_policy", {"model": "delay"})
    with pytest.raises(NotFound):
        platform.call("models.delete_policy", {"model": "delay"})


def test_only_owners_set_policies(platform: Platform) -> None:
    deployer = Principal("dan", ("deployer",))
    with pytest.raises(PermissionDenied, match="models:govern"):
        platform.call("models.set_policy", {"policy": Policy()}, principal=deployer)
    with pytest.raises(PermissionDenied):
        platform.call("models.delete_policy", {}, principal=deployer)


@pytest.mark.parametrize(
    "policy",
    [{"aliases": []}, {"approvals": -1}, {"approvals": 99}, {"aliases": ["a/b"]}, {"minimums": {"auc": float("inf")}}],
)
def test_a_policy_that_makes_no_sense_is_refused(platform: Platform, policy: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        platform.call("models.set_policy", {"policy": policy})


def test_a_policy_for_a_model_that_is_not_there_is_refused(platform: Platform) -> None:
    with pytest.raises(NotFound):
        platform.call("models.set_policy", {"policy": {"model": "ghost"}})


def test_a_guarded_alias_keeps_its_version_from_being_withdrawn(platform: Platform) -> None:
    registered_by(platform, ANN)
    call(platform, "models.set_alias", ANN, name="delay", alias="champion", version=1)
    guarded(platform)
    with platform.session(ANN).begin() as unit, pytest.raises(Refused, match="guarded alias"):
        models.withdraw(unit, "delay", 1, "bad")


def test_an_alias_that_stands_when_a_policy_comes_stays_where_it_is(platform: Platform) -> None:
    registered_by(platform, ANN)
    DOORS["set_alias"](platform, ANN, 1)
    guarded(platform)
    assert DOORS["set_alias"](platform, ANN, 1).version == 1  # type: ignore[attr-defined]


def test_what_is_asked_for_stands_in_the_ledger(platform: Platform) -> None:
    guarded(platform, approvals=2)
    (entry,) = platform.call("audit.entries", {"kind": "models.policy_set"})
    assert (entry.principal, entry.event["policy"]["approvals"]) == ("eve", 2)
