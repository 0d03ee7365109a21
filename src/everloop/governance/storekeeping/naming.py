"""What objects are, in the words of the catalog, and what dead ones once were, in those of the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sqlalchemy import desc, select

from everloop.catalog.session import Session
from everloop.catalog.tables import ledger
from everloop.governance.retention import addresses_in
from everloop.governance.storekeeping.entities import Dead
from everloop.kernel.clock import from_micros
from everloop.store.digests import Digests
from everloop.store.entities import Digest
from everloop.store.packs import RECIPE, TREE
from everloop.store.reach import reach
from everloop.store.sweep import Sweep

_MOST = 200
"""So many names are told apart; what else is dead is told in one line."""
_EXAMPLES = 3
_PAGE = 1_000
_KINDS = {RECIPE: "large file", TREE: "folder"}


def dead(session: Session, sweep: Sweep) -> tuple[Dead, ...]:
    """What a sweep found dead, by what it once was, the largest first; each object counts once."""
    unnamed = sweep.dead
    groups = []
    for digest, was in _owners(session, sweep.dead):
        mine = reach(session.store.objects, sweep.found, Digests.of([bytes.fromhex(digest)])) & unnamed
        if mine:
            groups.append((was, mine))
            unnamed -= mine
        if len(groups) == _MOST:
            break
    if unnamed:
        groups.append(("", unnamed))
    return tuple(sorted(_merged(sweep, groups), key=lambda group: (-group.bytes, group.was)))


def _owners(session: Session, wanted: Digests) -> Iterator[tuple[Digest, str]]:
    """What the ledger says of dead objects, the newest word first."""
    query = select(ledger.c.event, ledger.c.subject).order_by(desc(ledger.c.sequence))
    for event, subject in session.connection.execute(query.execution_options(yield_per=_PAGE)):
        for digest in addresses_in(event):
            if bytes.fromhex(digest) in wanted:
                yield digest, subject


def _merged(sweep: Sweep, groups: list[tuple[str, Digests]]) -> Iterator[Dead]:
    by_name: dict[str, Digests] = {}
    for was, mine in groups:
        by_name[was] = by_name.get(was, Digests()) | mine
    for was, mine in by_name.items():
        rows = sweep.details[mine.holds(sweep.details["digest"])]
        yield Dead(
            was=was,
            objects=len(mine),
            bytes=int(rows["size"].sum()),
            oldest=from_micros(int(rows["written"].min())),
            waiting=len(mine - sweep.doomed),
            examples=tuple(_examples(rows)),
        )


def _examples(rows: npt.NDArray[np.void]) -> Iterator[str]:
    largest = rows[np.argsort(-rows["size"].astype(np.int64), kind="stable")[:_EXAMPLES]]
    for at, row in enumerate(largest):
        address = largest["digest"][at : at + 1].tobytes().hex()
        yield f"{_KINDS.get(int(row['kind']), 'file')} {address}, {int(row['size']):,} bytes"
