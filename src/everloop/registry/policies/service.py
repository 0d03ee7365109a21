"""What one can do with policies: set them, look at them, ask what a version lacks."""

from __future__ import annotations

import math

from sqlalchemy import delete, select

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.registry import service as registry
from everloop.registry.policies import gates as judged
from everloop.registry.policies import rules
from everloop.registry.policies.entities import GateJudgement, Policy, PolicyDeleted, PolicySet
from everloop.registry.policies.tables import policies

NEWEST = "latest"
"""What MLflow's clients call the newest version, as if it were an alias."""


@usecase("models.set_policy", permission="models:govern", route="PUT /model-policies")
def set_policy(session: Session, policy: Policy) -> Policy:
    """Set what guarded aliases ask of a version, for every model of the project or for one.

    Aliases stay where they are: a policy judges the next move.
    """
    if policy.model:
        registry.get(session, policy.model)
    if not policy.aliases:
        raise InvalidInput("A policy without aliases guards nothing.", hint="Name some, such as champion.")
    if NEWEST in policy.aliases:
        raise InvalidInput(f"{NEWEST!r} is always the newest version, and cannot be guarded.", hint="Guard another.")
    if not all(math.isfinite(least) for least in policy.minimums.values()):
        raise InvalidInput("A minimum must be a finite number.")
    session.execute(delete(policies).where(rules.here(session, policy.model)))
    session.insert(policies, policy)
    session.emit(PolicySet(subject=session.urn("policy", policy.model or "models"), policy=policy))
    return policy


@usecase("models.policies", permission="models:read", route="GET /model-policies")
def list_policies(session: Session) -> list[Policy]:
    """The policies of the project: that of every model first, then those of single ones."""
    query = select(policies).where(policies.c.project == session.project).order_by(policies.c.model)
    return session.all(Policy, query)


@usecase("models.delete_policy", permission="models:govern", route="DELETE /model-policies")
def delete_policy(session: Session, model: str = "") -> Policy:
    """Delete a model's own policy, or that of the project, and give what it was."""
    known = session.first(Policy, select(policies).where(rules.here(session, model)))
    if known is None:
        raise NotFound(f"There is no policy for {model or 'the models of the project'}.")
    session.execute(delete(policies).where(rules.here(session, model)))
    session.emit(PolicyDeleted(subject=session.urn("policy", model or "models")))
    return known


@usecase("models.lacks", permission="models:read", route="GET /models/{name}/versions/{version}/lacks")
def lacks(session: Session, name: Name, version: int, alias: Name) -> list[str]:
    """What a version lacks before an alias may name it; nothing when it may."""
    known = registry.version(session, name, version)
    policy = rules.policy_of(session, name)
    if policy is None or alias not in policy.aliases:
        return []
    return rules.missing_of(session, policy, known)


@usecase("models.gates", permission="models:read", route="GET /models/{name}/versions/{version}/gates")
def gates(session: Session, name: Name, version: int) -> list[GateJudgement]:
    """What the gates of loops said of a version's very files: what a policy's `gates` are read from."""
    return judged.known(session, registry.version(session, name, version))
