"""Four eyes and more: what a version lacks before a guarded alias may name it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, select

from everloop.catalog.session import Session
from everloop.registry import rows
from everloop.registry.entities import Approval, ModelVersion
from everloop.registry.policies import gates
from everloop.registry.policies.entities import ApprovalMissing, Policy
from everloop.registry.policies.tables import policies


def policy_of(session: Session, model: str) -> Policy | None:
    """The policy for a model: its own, or that of the project."""
    both = select(policies).where(policies.c.project == session.project, policies.c.model.in_(("", model)))
    return session.first(Policy, both.order_by(policies.c.model.desc()).limit(1))


def here(session: Session, model: str) -> ColumnElement[bool]:
    """The row of a model's own policy, or of the project's for no model."""
    return and_(policies.c.project == session.project, policies.c.model == model)


def missing_of(session: Session, policy: Policy, version: ModelVersion) -> list[str]:
    """What a version lacks as things stand, in words; nothing when it may have the policy's aliases."""
    passed = {judged.gate for judged in gates.known(session, version) if judged.passed}
    return lacks(policy, version, rows.decisions(session, version.model, version.version), passed)


def lacks(
    policy: Policy, version: ModelVersion, decisions: Sequence[Approval], passed: Collection[str] = ()
) -> list[str]:
    """What a version lacks, in words. `decisions` are newest first, `passed` the gates that let its files through."""
    missing = [*_measures(policy, version), *(f"the gate {gate}" for gate in policy.gates if gate not in passed)]
    standing = _standing(version, decisions)
    if standing and standing[0].decision == "rejected":
        return [f"{standing[0].approver} rejected it: {standing[0].reason}", *missing]
    counted = sorted({it.approver for it in standing if _counts(policy, version, it)})
    if len(counted) < policy.approvals:
        who = f" of {', '.join(policy.approvers)}" if policy.approvers else ""
        have = f" (approved by {', '.join(counted)})" if counted else ""
        missing.insert(0, f"{policy.approvals - len(counted)} more approval(s){who} by others than its author{have}")
    return missing


def guards(session: Session, model: str, alias: str) -> bool:
    """Whether a policy guards an alias of a model."""
    policy = policy_of(session, model)
    return policy is not None and alias in policy.aliases


def guard(session: Session, version: ModelVersion, alias: str) -> None:
    """Let an alias name a version, by whichever door.

    Raises:
        ApprovalMissing: a policy guards the alias, and the version lacks something.
    """
    policy = policy_of(session, version.model)
    if policy is None or alias not in policy.aliases:
        return
    missing = missing_of(session, policy, version)
    if missing:
        raise ApprovalMissing(
            f"Alias {alias!r} is guarded, and {version.model}@{version.version} lacks {'; '.join(missing)}.",
            hint=f"Somebody else can look at it: everloop models approve {version.model} {version.version} "
            "--decision approved --reason WHY.",
        )


def _standing(version: ModelVersion, decisions: Sequence[Approval]) -> list[Approval]:
    """The decisions about these very files since the last rejection, which is the last of them, if there was one."""
    found: list[Approval] = []
    for decision in decisions:
        if decision.digest == version.trained.digest:
            if decision.decision == "rejected":
                return found or [decision]
            found.append(decision)
    return found


def _counts(policy: Policy, version: ModelVersion, decision: Approval) -> bool:
    named = not policy.approvers or decision.approver in policy.approvers
    return named and decision.approver != version.author


def _measures(policy: Policy, version: ModelVersion) -> list[str]:
    found = version.trained.metrics
    return [
        f"{metric} of at least {least:g} (it has {found[metric]:g})" if metric in found else f"a measured {metric}"
        for metric, least in sorted(policy.minimums.items())
        if not found.get(metric, float("-inf")) >= least
    ]
