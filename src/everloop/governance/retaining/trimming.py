"""What goes from runs by the rules of a policy, and taking it away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from everloop.catalog.session import Session
from everloop.governance.retaining.entities import LargeFiles, Policy, RunTrimmed, Trim
from everloop.kernel.durations import duration
from everloop.tracking import files, purging
from everloop.tracking.tables import artifacts, runs

_CHECKPOINTS = "checkpoints"
_ENDED_BADLY = ("failed", "killed")


def trims(session: Session, policy: Policy, run: str = "") -> Iterator[Trim]:
    """What a policy takes from all runs that it is about, or from one, as of now."""
    now, rules = session.clock.now(), policy.rules
    if rules.checkpoints is not None:
        yield from _checkpoints(session, policy, run, rules.checkpoints)
    if rules.large_files is not None:
        until = now - duration(rules.large_files.after)
        yield from _large_files(session, policy, run, rules.large_files, until)
    if rules.failed_metrics_for:
        yield from _failed_metrics(session, policy, run, now - duration(rules.failed_metrics_for))


def take(session: Session, trim: Trim, run: str) -> None:
    """Take from a run what a rule says.

    Raises:
        Refused: a legal hold is on it.
    """
    for path in trim.paths:
        files.remove(session, run, path, trim.urn)
    if trim.rule == "failed_metrics_for":
        purging.purge_points(session, run)
    told = RunTrimmed(subject=trim.urn, policy=trim.policy, rule=trim.rule, files=trim.files, size=trim.bytes)
    session.emit(told)


def _checkpoints(session: Session, policy: Policy, run: str, most: int) -> Iterator[Trim]:
    """The checkpoints before the newest `most` of each run."""
    query = _files(session, policy, run).where(artifacts.c.path.startswith(f"{_CHECKPOINTS}/", autoescape=True))
    steps: dict[tuple[str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for id, name, path, size in session.connection.execute(query):
        step = path.split("/")[1]
        if path.startswith(f"{_CHECKPOINTS}/") and step.isdecimal():
            steps[id, name][int(step)].append(size)
    for (id, name), known in steps.items():
        old = sorted(known)[: max(0, len(known) - most)]
        sizes = [size for step in old for size in known[step]]
        if old:
            paths = tuple(f"{_CHECKPOINTS}/{step}" for step in old)
            yield Trim(session.urn("run", id), name, policy.name, "checkpoints", paths, len(sizes), sum(sizes))


def _large_files(session: Session, policy: Policy, run: str, large: LargeFiles, until: datetime) -> Iterator[Trim]:
    query = _files(session, policy, run).where(artifacts.c.size > large.over, runs.c.ended <= until)
    found: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for id, name, path, size in session.connection.execute(query):
        found[id, name].append((path, size))
    for (id, name), those in found.items():
        paths, sizes = zip(*those, strict=True)
        yield Trim(session.urn("run", id), name, policy.name, "large_files", paths, len(sizes), sum(sizes))


def _failed_metrics(session: Session, policy: Policy, run: str, until: datetime) -> Iterator[Trim]:
    bad = runs.c.status.in_(_ENDED_BADLY), runs.c.ended <= until
    query = select(runs.c.id, runs.c.name).where(_about(session, policy, run), *bad).order_by(runs.c.id)
    found: Sequence[tuple[str, str]] = [(id, name) for id, name in session.connection.execute(query)]
    sizes = purging.points_bytes(session, [id for id, _ in found])
    for id, name in found:
        if sizes.get(id):
            yield Trim(session.urn("run", id), name, policy.name, "failed_metrics_for", (), 0, sizes[id])


def _files(session: Session, policy: Policy, run: str) -> Select[Any]:
    query = select(runs.c.id, runs.c.name, artifacts.c.path, artifacts.c.size)
    query = query.join(artifacts, (artifacts.c.project == runs.c.project) & (artifacts.c.run == runs.c.id))
    return query.where(_about(session, policy, run)).order_by(runs.c.id, artifacts.c.path)


def _about(session: Session, policy: Policy, run: str) -> ColumnElement[bool]:
    """The runs that a policy is about."""
    here = runs.c.project == session.project
    if policy.experiment:
        here &= runs.c.experiment == policy.experiment
    return here & (runs.c.id == run) if run else here
