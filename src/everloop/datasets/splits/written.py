"""Splits of versions of datasets: their parts kept as selections of the source's rows, with the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from blake3 import blake3

from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve, urn_of, write_content
from everloop.datasets.entities import Change, Content, Selection, Snapshot
from everloop.datasets.layers import tree_of
from everloop.datasets.splits.assignment import assign, columns_of
from everloop.datasets.splits.entities import Proof, Split, SplitPart, Strategy, kind_of
from everloop.datasets.splits.proof import duplicates, prove
from everloop.datasets.splits.selection import packed, unpacked
from everloop.kernel.errors import InvalidInput, Refused
from everloop.store.entities import TreeEntry

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.datasets.splits.assignment import Mask

_LONGEST_NAME = 128


def split_table(table: pa.Table, strategy: Strategy, seed: int = 0) -> dict[str, pa.Table]:
    """The parts of a table by name, each in the table's order.

    Raises:
        InvalidInput: the strategy makes no sense, or not for this table.
    """
    import pyarrow as pa

    return {name: table.filter(pa.array(mask)) for name, mask in assign(table, strategy, seed).masks.items()}


def id_of(source: Snapshot, strategy: Strategy, seed: int) -> str:
    """The id of a split: of what is cut, and how."""
    what = [source.dataset, source.version, source.digest, strategy, seed]
    return blake3(msgspec.json.encode(what, order="sorted")).hexdigest(length=16)


def make(session: Session, source: Snapshot, strategy: Strategy, seed: int) -> Split:
    """Cut a snapshot into parts, each a version of a dataset of its own, proved to share nothing.

    Costs the columns that the strategy looks at, and at most a bit for each row and part in the store.

    Raises:
        InvalidInput: the strategy makes no sense, or not for this dataset.
        Refused: the parts do share something.
    """
    if source.kind != "table":
        raise InvalidInput(f"{source.dataset}@{source.version} holds files.", hint="Only tables are split by rows.")
    table = _looked_at(session, source, strategy)
    assigned = assign(table, strategy, seed)
    proof = prove(table, strategy, assigned.masks, session.clock.now())
    require(proof)
    parts = tuple(_written(session, source, name, mask, strategy, seed) for name, mask in assigned.masks.items())
    return Split(
        id=id_of(source, strategy, seed),
        dataset=source.dataset,
        version=source.version,
        strategy=strategy,
        seed=seed,
        parts=parts,
        proof=proof,
        notes=assigned.notes,
        created=session.clock.now(),
    )


def proved(session: Session, split: Split, *, with_duplicates: bool) -> Proof:
    """The proof of a split made anew, from what the store holds of its parts and their source."""
    source = resolve(session, f"{split.dataset}@{split.version}")
    table = _looked_at(session, source, split.strategy)
    masks = {part.name: _mask(session, source, part) for part in split.parts}
    proof = prove(table, split.strategy, masks, session.clock.now())
    if not with_duplicates:
        return proof
    found = duplicates(read_table(session, source), split.strategy, masks)
    holds = proof.holds and all(comparison.holds for comparison in found)
    return msgspec.structs.replace(proof, holds=holds, comparisons=(*proof.comparisons, *found))


def require(proof: Proof) -> None:
    """Make sure that a proof holds.

    Raises:
        Refused: it does not.
    """
    broken = [comparison for comparison in proof.comparisons if not comparison.holds]
    if broken:
        one = broken[0]
        raise Refused(f"Parts {one.first!r} and {one.second!r} share {one.shared} {one.what}.")


def _looked_at(session: Session, source: Snapshot, strategy: Strategy) -> pa.Table:
    """The columns that a strategy looks at; one, for its rows, when it looks at none."""
    known = [column.name for column in source.columns]
    return read_table(session, source, columns_of(strategy) or known[:1])


def _written(session: Session, source: Snapshot, name: str, mask: Mask, strategy: Strategy, seed: int) -> SplitPart:
    dataset = f"{source.dataset}.{name}"
    if len(dataset) > _LONGEST_NAME:
        raise InvalidInput(f"{dataset!r} is too long for a name.", hint="Give the parts shorter names.")
    note = f"{name} of {source.dataset}@{source.version} ({kind_of(strategy)}, seed {seed})"
    change = Change(note, (urn_of(session, source),))
    made = write_content(session, dataset, part_content(session, source, mask), change)
    return SplitPart(name, urn_of(session, made), made.rows)


def part_content(session: Session, source: Snapshot, mask: Mask) -> Content:
    """Some rows of a snapshot as the content of another: their numbers, beside the source's own files."""
    whole, inner = source.digest, mask
    if source.selection is not None:
        whole = source.selection.source
        inner = unpacked(session.store.get(source.selection.rows)).copy()
        inner[np.flatnonzero(inner)] = mask
    data = packed(inner)
    selection = Selection(whole, session.store.put(data))
    below = tree_of(source.layers) or [TreeEntry("", whole, source.bytes)]
    tree = [msgspec.structs.replace(entry, path=f"source/{entry.path}".rstrip("/")) for entry in below]
    digest = session.store.put_tree([*tree, TreeEntry("rows", selection.rows, len(data))])
    rows = int(np.count_nonzero(mask))
    return Content(
        kind="table",
        digest=digest,
        bytes=len(data),
        rows=rows,
        columns=source.columns,
        layers=source.layers,
        selection=selection,
        foreign=source.foreign,
    )


def _mask(session: Session, source: Snapshot, part: SplitPart) -> Mask:
    """Which rows of the source a part has.

    Raises:
        Refused: it is a part of something else.
    """
    snapshot = resolve(session, part.snapshot)
    whole = source.selection.source if source.selection else source.digest
    mask = None
    if snapshot.selection is not None and snapshot.selection.source == whole:
        mask = unpacked(session.store.get(snapshot.selection.rows))
    within = unpacked(session.store.get(source.selection.rows)) if source.selection else None
    if mask is None or (within is not None and bool((mask & ~within).any())):
        raise Refused(f"{part.snapshot} is no part of {source.dataset}@{source.version}.")
    return mask if within is None else mask[within]
