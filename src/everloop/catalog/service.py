"""What one can do with the ledger: read it, follow lineage, verify the chain."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select

from everloop.catalog import ledger as chain
from everloop.catalog import lineage
from everloop.catalog.entities import ChainReport, LedgerEntry, LineageGraph
from everloop.catalog.session import Session
from everloop.catalog.tables import ledger
from everloop.kernel.ids import parse_urn
from everloop.kernel.usecase import usecase


@usecase("audit.entries", permission="audit:read", route="GET /audit/entries")
def entries(
    session: Session, kind: str = "", subject: str = "", before: int = 0, limit: int = 100
) -> list[LedgerEntry]:
    """The newest entries of the ledger, newest first.

    `kind` and `subject` keep entries that start with them; `before` pages: pass the last sequence you saw.
    """
    query = (
        select(ledger)
        .where(ledger.c.project == session.project)
        .order_by(ledger.c.sequence.desc())
        .limit(max(0, min(limit, 10_000)))
    )
    if kind:
        query = query.where(_begins(ledger.c.kind, kind))
    if subject:
        query = query.where(_begins(ledger.c.subject, subject))
    if before:
        query = query.where(ledger.c.sequence < before)
    return [chain.read(row) for row in session.connection.execute(query)]


@usecase("audit.verify", permission="audit:read", route="GET /audit/verification")
def verify(session: Session) -> ChainReport:
    """Whether the ledger's hash chain is intact, and if not, the first entry that was tampered with."""
    return chain.verify(session.connection)


@usecase("lineage.graph", permission="audit:read", route="GET /lineage")
def graph(session: Session, urn: str, direction: lineage.Direction = "both", depth: int = 20) -> LineageGraph:
    """What a thing came from, and what came from it, up to `depth` edges away."""
    parse_urn(urn)
    return lineage.graph(session, urn, direction, min(depth, 100))


def _begins(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether a column starts with a text, letter for letter; LIKE takes no long ones, and some databases fold case."""
    return func.substr(column, 1, len(text)) == text
