"""Where the rows of a subject went: every version that holds them, and all that was made of those.

The unit is the Parquet file: each is looked into once, however many versions, layers and parts of splits share it, and
not at all where the profile of a version says that its column cannot hold the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets import parquet
from everloop.datasets.content import read_table, urn_of
from everloop.datasets.entities import Part, Profile, Snapshot
from everloop.datasets.history.heads import branches_of
from everloop.datasets.splits.descent import made_of, related_to
from everloop.datasets.splits.entities import Holding, Place, Subject, SubjectReport
from everloop.datasets.splits.finder import sightings
from everloop.datasets.splits.selection import unpacked
from everloop.datasets.tables import profiles, snapshots
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound
from everloop.store.entities import Digest

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_MOST_RANGES = 20


def report(session: Session, name: str, subject: Subject) -> SubjectReport:
    """Everywhere that a subject is.

    Raises:
        NotFound: there is no such dataset.
        InvalidInput: none of its versions has the column.
    """
    every = _with_column(session, name, subject)
    search = Search(session, subject, _unlikely(session, every, subject))
    found = {urn_of(session, each): search.holding(each) for each in every}
    held = {urn: holding for urn, holding in found.items() if holding is not None and holding.places}
    unread = tuple(urn for urn, holding in found.items() if holding is None)
    related = related_to(session, name)
    stand = _heads(session, {each.dataset for each in every if urn_of(session, each) in held})
    holdings = [
        msgspec.structs.replace(
            held[urn], heads=stand.get((each.dataset, each.version), ()), related=each.dataset in related
        )
        for each in every
        if (urn := urn_of(session, each)) in held
    ]
    made, unsure = made_of(session, list(held), set(found))
    return SubjectReport(
        subject=subject,
        dataset=name,
        at=session.clock.now(),
        snapshots=len(every),
        pruned=search.pruned,
        holdings=tuple(holdings),
        unsure=(*unsure, *unread),
        made=made,
        sightings=sightings(session, subject),
    )


class Search:
    """A search for a subject that looks into each file once."""

    def __init__(self, session: Session, subject: Subject, unlikely: frozenset[Digest]) -> None:
        self._session = session
        self._subject = subject
        self._unlikely = unlikely
        self._found: dict[Digest, Numbers] = {}
        self.pruned = 0

    def holding(self, snapshot: Snapshot) -> Holding | None:
        """What a version holds of the subject: nothing, if it has no places; None if it cannot be read."""
        try:
            return self._foreign(snapshot) if snapshot.foreign else self._own(snapshot)
        except EverloopError:
            return None

    def _foreign(self, snapshot: Snapshot) -> Holding:
        """The rows of a table that is not here, numbered as they are read."""
        table = read_table(self._session, snapshot, [self._subject.column])
        mask = matching(table, self._subject)
        numbers = np.zeros(0, dtype=np.int64) if mask is None else np.flatnonzero(mask)
        file = files_of(snapshot)[0]
        return Holding(urn_of(self._session, snapshot), len(numbers), _places([file], {file.digest: numbers}))

    def _own(self, snapshot: Snapshot) -> Holding:
        urn = urn_of(self._session, snapshot)
        files = files_of(snapshot)
        if all(file.digest in self._unlikely for file in files):
            self.pruned += 1
            return Holding(urn, 0, ())
        numbers = {file.digest: self._numbers(file.digest) for file in files}
        if not any(len(found) for found in numbers.values()):
            return Holding(urn, 0, ())
        if snapshot.layers:
            return Holding(urn, self._readable(snapshot), _places(files, numbers))
        if snapshot.selection:
            mask = unpacked(self._session.store.get(snapshot.selection.rows))
            return Holding(urn, int(np.count_nonzero(mask[numbers[files[0].digest]])), _places(files, numbers))
        return Holding(urn, len(numbers[files[0].digest]), _places(files, numbers))

    def _numbers(self, digest: Digest) -> Numbers:
        """The numbers of the rows in a file that are about the subject."""
        if digest not in self._found:
            table = parquet.read(self._session.store, digest, [self._subject.column])
            mask = matching(table, self._subject) if table.column_names else None
            self._found[digest] = np.zeros(0, dtype=np.int64) if mask is None else np.flatnonzero(mask)
        return self._found[digest]

    def _readable(self, snapshot: Snapshot) -> int:
        mask = matching(read_table(self._session, snapshot, [self._subject.column]), self._subject)
        return 0 if mask is None else int(np.count_nonzero(mask))


def matching(table: pa.Table, subject: Subject) -> Mask | None:
    """Which rows of a table are about a subject; None when the type of its column can hold no such value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[subject.column]
    try:
        value = pa.scalar(subject.value).cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return np.asarray(pc.fill_null(pc.equal(column, value), False).combine_chunks())


def _with_column(session: Session, name: str, subject: Subject) -> list[Snapshot]:
    """Every version of every dataset of the project that has the subject's column and was not purged.

    Raises:
        NotFound: there is no such dataset.
        InvalidInput: none of its versions has the column.
    """
    here = (snapshots.c.project == session.project) & (snapshots.c.kind == "table")
    order = (snapshots.c.dataset, snapshots.c.version)
    with session.begin(write=False) as unit:
        every = unit.all(Snapshot, select(snapshots).where(here).order_by(*order))
    own = [each for each in every if each.dataset == name]
    if not own:
        raise NotFound(f"There is no dataset {name!r}.", hint="everloop datasets list shows what there is.")
    kept = [each for each in every if each.digest and subject.column in {column.name for column in each.columns}]
    if not any(each.dataset == name for each in kept):
        known = ", ".join(column.name for column in own[-1].columns)
        raise InvalidInput(f"No version of {name!r} has a column {subject.column!r}.", hint=f"It has {known}.")
    return kept


def _unlikely(session: Session, every: Sequence[Snapshot], subject: Subject) -> frozenset[Digest]:
    """The files that cannot hold the value, as the profiles of versions that are one file say."""
    here = profiles.c.project == session.project
    with session.begin(write=False) as unit:
        rows = unit.connection.execute(select(profiles.c.dataset, profiles.c.version, profiles.c.profile).where(here))
        known: dict[tuple[str, int], Profile] = {(row.dataset, row.version): row.profile for row in rows}
    plain = [each for each in every if not each.layers and not each.selection and not each.foreign]
    return frozenset(
        each.digest
        for each in plain
        if (profile := known.get((each.dataset, each.version))) and not _may_hold(profile, subject)
    )


def _may_hold(profile: Profile, subject: Subject) -> bool:
    """Whether a value lies within the range that a column was seen to have; a text may be longer than its bound is."""
    column = next((column for column in profile.columns if column.name == subject.column), None)
    if column is None:
        return True
    low, high, value = column.minimum, column.maximum, subject.value
    if isinstance(low, str) and isinstance(high, str) and "string" in column.type:
        return low <= value <= high or value.startswith(high)
    if isinstance(low, float | int) and isinstance(high, float | int) and column.type.startswith(("int", "uint")):
        try:
            return low <= float(value) <= high
        except ValueError:
            return False
    return True


def files_of(snapshot: Snapshot) -> list[Part]:
    """The Parquet files whose rows make up a version."""
    if snapshot.layers:
        return [layer.added for layer in snapshot.layers if layer.added]
    if snapshot.selection:
        return [Part(snapshot.selection.source, 0, 0)]
    return [Part(snapshot.digest, snapshot.rows, snapshot.bytes)]


def _places(files: Sequence[Part], numbers: Mapping[Digest, Numbers]) -> tuple[Place, ...]:
    return tuple(
        Place(file.digest, file.bytes, len(numbers[file.digest]), ranges_of(numbers[file.digest]))
        for file in files
        if len(numbers[file.digest])
    )


def ranges_of(numbers: Numbers, most: int = _MOST_RANGES) -> tuple[tuple[int, int], ...]:
    """The first ranges that some ascending numbers stand in, both ends counted."""
    if not len(numbers):
        return ()
    breaks = np.flatnonzero(np.diff(numbers) > 1)
    firsts, lasts = numbers[np.append(0, breaks + 1)], numbers[np.append(breaks, len(numbers) - 1)]
    return tuple(zip(firsts[:most].tolist(), lasts[:most].tolist(), strict=True))


def _heads(session: Session, datasets: set[str]) -> dict[tuple[str, int], tuple[str, ...]]:
    """The branches that stand at each version of some datasets."""
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    with session.begin(write=False) as unit:
        for name in sorted(datasets):
            for branch in branches_of(unit, name):
                key = (name, branch.version)
                found[key] = (*found.get(key, ()), branch.name)
    return found
