"""The policies that are in force: those that were set, and those that the project declares."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select

from everloop.catalog.session import Session
from everloop.governance.retaining.entities import Policy, PolicyRemoved, PolicySet, Rules
from everloop.governance.retaining.tables import policies
from everloop.kernel.durations import duration
from everloop.kernel.errors import Conflict, InvalidInput

GRACE = timedelta(days=30)
"""So long what was deleted can be restored, where no policy says something else."""


def every(session: Session) -> list[Policy]:
    """The policies, by name."""
    mine = policies.c.project == session.project
    return session.all(Policy, select(policies).where(mine).order_by(policies.c.name))


def grace(session: Session) -> timedelta:
    """So long what was deleted can be restored: what the strictest policy says that says anything."""
    said = [duration(policy.rules.deleted_for) for policy in every(session) if policy.rules.deleted_for]
    return min(said, default=GRACE)


def named(session: Session, name: str) -> Policy:
    """A policy by its name."""
    query = select(policies).where(_called(session, name))
    return session.one(Policy, query, f"There is no policy {name!r}.", "everloop retention list names them.")


def put(session: Session, policy: Policy) -> None:
    """Put a policy in force, in the place of one of that name.

    Raises:
        InvalidInput: its rules cannot be meant.
        Conflict: the project declares one of that name.
    """
    _check(policy.rules, policy.experiment)
    if not policy.declared:
        check_free(session, policy.name)
    session.execute(delete(policies).where(_called(session, policy.name)))
    session.insert(policies, policy)
    subject = session.urn("retention", policy.name)
    session.emit(PolicySet(subject=subject, rules=policy.rules, experiment=policy.experiment))


def drop(session: Session, name: str) -> None:
    """End a policy."""
    session.execute(delete(policies).where(_called(session, name)))
    session.emit(PolicyRemoved(subject=session.urn("retention", name)))


def check_free(session: Session, name: str) -> None:
    """Let a name through that the project does not declare.

    Raises:
        Conflict: it does.
    """
    known = session.first(Policy, select(policies).where(_called(session, name)))
    if known is not None and known.declared:
        raise Conflict(
            f"The policy {name!r} is declared in everloop.toml.", hint="Change it there, then: everloop apply."
        )


def declare(session: Session, declared: Mapping[str, Policy]) -> None:
    """Put what the project declares in force; what it declares no more counts no more. What is as it was stays so."""
    known = {policy.name: policy for policy in every(session)}
    for name, policy in declared.items():
        before = known.get(name)
        same = before is not None and (before.rules, before.experiment) == (policy.rules, policy.experiment)
        if not (same and before is not None and before.declared):
            put(session, policy)
    for name, policy in known.items():
        if policy.declared and name not in declared:
            drop(session, name)


def _check(rules: Rules, experiment: str) -> None:
    if rules == Rules():
        raise InvalidInput("A policy needs a rule.", hint=f"There are {', '.join(Rules.__struct_fields__)}.")
    if rules.checkpoints is not None and rules.checkpoints < 1:
        raise InvalidInput(f"{rules.checkpoints} checkpoints cannot stay.", hint="Keep one at least.")
    if rules.large_files is not None and rules.large_files.over < 0:
        raise InvalidInput(f"No file has {rules.large_files.over} bytes.", hint="Give bytes from 0 on.")
    if rules.deleted_for and experiment:
        raise InvalidInput("How long what was deleted can be restored is for all experiments.", hint="Name none.")
    for text in (rules.failed_metrics_for, rules.deleted_for, rules.large_files.after if rules.large_files else ""):
        if text:
            duration(text)


def _called(session: Session, name: str) -> ColumnElement[bool]:
    return (policies.c.project == session.project) & (policies.c.name == name)
