"""What one can do about how long runs keep what they hold: set policies, see what they would take, apply them."""

from __future__ import annotations

from collections import defaultdict

from everloop.catalog.session import Session
from everloop.governance.retaining import policies as in_force
from everloop.governance.retaining import trimming
from everloop.governance.retaining.entities import Applied, Declared, Policy, Rules, Trim
from everloop.governance.runkeeping import candidates, freeing, needs
from everloop.governance.runkeeping import service as runkeeping
from everloop.governance.runkeeping.entities import Kept, RunsGc
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase

RUNNING = "it is running"


@usecase("retention.set", permission="governance:manage", route="PUT /retention/{name}")
def set_policy(session: Session, name: Name, rules: Rules, experiment: str = "") -> Policy:
    """Say what runs keep, and for how long; the controller applies it every hour.

    What a model version, legal hold or running sweep needs is left alone.
    """
    made = Policy(name, rules, experiment, session.clock.now())
    in_force.put(session, made)
    return made


@usecase("retention.declare", permission="governance:manage", route="PUT /retention")
def declare(session: Session, policies: dict[Name, Declared]) -> list[Policy]:
    """Put the policies in force that a project declares in its `everloop.toml`, by name: `everloop apply` does it.

    Those that it declared before and does no more are removed; those that were set otherwise stay.
    """
    now = session.clock.now()
    made = {name: Policy(name, it.rules, it.experiment, now, declared=True) for name, it in policies.items()}
    in_force.declare(session, made)
    return in_force.every(session)


@usecase("retention.list", permission="governance:read", route="GET /retention")
def list_policies(session: Session) -> list[Policy]:
    """The retention policies, by name."""
    return in_force.every(session)


@usecase("retention.remove", permission="governance:manage", route="DELETE /retention/{name}")
def remove_policy(session: Session, name: Name) -> Policy:
    """Remove a policy, and give what it was."""
    known = in_force.named(session, name)
    in_force.check_free(session, name)
    in_force.drop(session, name)
    return known


@usecase("retention.apply", permission="governance:manage", route="POST /retention/applications", long=True)
def apply(session: Session, dry_run: bool = True) -> Applied:
    """Take away what the policies say, or tell of it; `store gc` then frees the bytes of files."""
    with session.begin(write=False) as unit:
        known = list_policies(unit)
        head = freeing.head_of(unit)
        planned = [(policy, trim) for policy in known for trim in trimming.trims(unit, policy)]
        why = _why(unit, {_id(trim) for _, trim in planned})
    kept = {trim.urn: Kept(trim.urn, trim.name, tuple(why[_id(trim)])) for _, trim in planned if _id(trim) in why}
    going = [(policy, trim) for policy, trim in planned if trim.urn not in kept]
    if dry_run:
        done = [trim for _, trim in going]
    else:
        done = [trim for policy, trim in going for trim in _take(session, policy, trim, head)]
        if done:
            session.resources.database.reclaim()
    deleted = [_gc(session, policy, dry_run=dry_run) for policy in known if policy.rules.deleted_for]
    return Applied(tuple(done), tuple(kept.values()), sum(trim.bytes for trim in done), tuple(deleted))


def _take(session: Session, policy: Policy, planned: Trim, head: int) -> list[Trim]:
    """Take away what was planned for a run by a rule, as it is now; nothing where something came to need it."""
    id = _id(planned)
    with session.begin() as unit:
        those = candidates.known(unit, [id])
        why: needs.Reasons = defaultdict(list)
        needs.now(unit, those, why)
        if needs.mentioned(unit, head, those, but=("retention.", "runs.")) or any(it != RUNNING for it in why[id]):
            return []
        found = [trim for trim in trimming.trims(unit, policy, id) if trim.rule == planned.rule]
        for trim in found:
            trimming.take(unit, trim, id)
    return found


def _gc(session: Session, policy: Policy, *, dry_run: bool) -> RunsGc:
    return runkeeping.gc(session, dry_run, policy.rules.deleted_for)


def _id(trim: Trim) -> str:
    return trim.urn.rpartition("/")[2]


def _why(session: Session, ids: set[str]) -> needs.Reasons:
    """Why some runs are left alone: whatever would keep them whole, but for that they run."""
    why = needs.stays(session, candidates.known(session, sorted(ids)))
    left = {id: [reason for reason in reasons if reason != RUNNING] for id, reasons in why.items()}
    return {id: reasons for id, reasons in left.items() if reasons}
