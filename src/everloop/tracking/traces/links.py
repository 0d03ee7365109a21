"""What traces are linked to: runs that they belong to beside their own, and versions of prompts that they used."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from sqlalchemy import ColumnElement, exists, insert, select

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.tracking.traces.entities import TraceLinked
from everloop.tracking.traces.tables import trace_links, traces

Kind = Literal["run", "prompt"]
_LONGEST = 500


def add(session: Session, trace: str, kind: Kind, targets: Collection[str]) -> None:
    """Link a trace; what it is linked to already stays so.

    Raises:
        InvalidInput: a target's name is empty or too long.
    """
    wrong = next((target for target in targets if not 0 < len(target) <= _LONGEST), None)
    if wrong is not None:
        raise InvalidInput(f"{wrong[:80]!r} is nothing that a trace can be linked to.")
    mine = (trace_links.c.project == session.project) & (trace_links.c.trace == trace) & (trace_links.c.kind == kind)
    known = set(session.scalars(select(trace_links.c.target).where(mine)))
    new = tuple(dict.fromkeys(target for target in targets if target not in known))
    if new:
        row = {"project": session.project, "trace": trace, "kind": kind}
        session.connection.execute(insert(trace_links), [row | {"target": target} for target in new])
        session.emit(TraceLinked(subject=session.urn("trace", trace), to=kind, targets=new))


def to(kind: Kind, target: str) -> ColumnElement[bool]:
    """Whether a row of `traces` is linked to something."""
    here = (trace_links.c.project == traces.c.project) & (trace_links.c.trace == traces.c.id)
    return exists().where(here, trace_links.c.kind == kind, trace_links.c.target == target).correlate(traces)
