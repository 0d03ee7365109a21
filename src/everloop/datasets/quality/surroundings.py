"""What a check may need beyond the rows, had from a session: other versions, history, time, and earlier figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import profile_of, read_table, resolve
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import Column, ColumnProfile, Profile, Snapshot
from everloop.datasets.history.heads import MAIN
from everloop.datasets.quality.engine import Finding, Measure, Measured, Part, Shape, Whole
from everloop.datasets.quality.expectations import Compare, LikeReference, Metric, NoRows, References
from everloop.datasets.quality.figures import figure_key, kept, of_profile, recalled, whole_of_profile
from everloop.datasets.quality.plan import measure_key
from everloop.datasets.tables import profiles, snapshots

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class SessionSurroundings:
    """The surroundings of the rows of a dataset: those of a version, or with no snapshot rows that are none yet."""

    session: Session
    dataset: str
    snapshot: Snapshot | None = None

    def now(self) -> datetime:
        """The time."""
        return self.session.clock.now()

    def version(self, reference: str) -> str:
        """The version that a reference names now."""
        found = resolve(self.session, reference)
        return f"{found.dataset}@{found.version}"

    def columns(self, reference: str) -> Sequence[Column]:
        """The columns of another version."""
        return resolve(self.session, reference).columns

    def rows(self, reference: str, columns: Sequence[str]) -> pa.Table:
        """Columns of another version."""
        return read_table(self.session, resolve(self.session, reference), list(dict.fromkeys(columns)))

    def history(self, metric: Metric, column: str, window: int) -> list[float]:
        """A figure in the versions of the same branch before this one, the newest first."""
        here = (snapshots.c.project == self.session.project) & (snapshots.c.dataset == self.dataset)
        here &= snapshots.c.branch == (self.snapshot.branch if self.snapshot else MAIN)
        here &= (snapshots.c.kind == "table") & snapshots.c.purged.is_(None)
        if self.snapshot is not None:
            here &= snapshots.c.version < self.snapshot.version
        query = select(snapshots).where(here).order_by(snapshots.c.version.desc()).limit(window)
        with self.session.begin(write=False) as unit:
            before = unit.all(Snapshot, query)
        if metric == "rows":
            return [float(one.rows) for one in before]
        figures = [_metric(profile_of(self.session, one), metric, column) for one in before]
        return [figure for figure in figures if figure is not None]

    def query(self, sql: str, table: pa.Table) -> pa.Table:
        """The result of a query that sees the rows and nothing else."""
        return self.session.ports.get(TableEngine).query(sql, {self.dataset: table})

    def known(self, part: Part, asked: Mapping[bytes, Measure]) -> dict[bytes, Measured]:
        """Those figures of a part that were measured before, or stand in the profile of the version."""
        if not part.key:
            return {}
        found = {key: figure for key, one in asked.items() if (figure := self._profiled(part, one)) is not None}
        keys = {self._key(part, key): key for key in asked if key not in found}
        for name, before in recalled(self.session, list(keys)).items() if keys else ():
            if not isinstance(before, Finding | Shape):
                found[keys[name]] = before
        return found

    def remember(self, part: Part, figures: Mapping[bytes, Measured]) -> None:
        """Keep figures of a part that were just measured."""
        if part.key:
            kept(self.session, {self._key(part, key): figure for key, figure in figures.items()})

    def known_finding(self, parts: Sequence[Part], asked: Whole | NoRows) -> Finding | None:
        """What looking at whole columns came to before, or would by the profile of the version."""
        if not all(part.key for part in parts):
            return None
        column = getattr(asked, "column", "")
        profiled = whole_of_profile(asked, self._profile.get(column))
        key = self._finding_key(parts, asked)
        found = profiled or recalled(self.session, [key]).get(key)
        return found if isinstance(found, Finding) else None

    def remember_finding(self, parts: Sequence[Part], asked: Whole | NoRows, found: Finding) -> None:
        """Keep what looking at whole columns came to."""
        if all(part.key for part in parts):
            kept(self.session, {self._finding_key(parts, asked): found})

    @cached_property
    def _profile(self) -> dict[str, ColumnProfile]:
        """The profile that the version was committed with, by column."""
        if self.snapshot is None:
            return {}
        here = (profiles.c.project == self.session.project) & (profiles.c.dataset == self.dataset)
        query = select(profiles.c.profile).where(here & (profiles.c.version == self.snapshot.version))
        with self.session.begin(write=False) as unit:
            found = unit.scalars(query)
        return {column.name: column for column in found[0].columns} if found else {}

    def _profiled(self, part: Part, asked: Measure) -> Measured | None:
        """The figure by the profile, which is of all the rows: of a part only where that is all of them."""
        if self.snapshot is None or part.rows != self.snapshot.rows or isinstance(asked, Compare):
            return None
        column = self._profile.get(asked.column)
        return of_profile(asked, column) if column is not None else None

    def _key(self, part: Part, asked: bytes) -> str:
        return figure_key(part.key.encode(), asked)

    def _finding_key(self, parts: Sequence[Part], asked: Whole | NoRows) -> str:
        """Findings depend on every part, on what the dataset is called in SQL, and on the version referred to."""
        told = [part.key.encode() for part in parts]
        if isinstance(asked, References | LikeReference):
            told.append(_identity(resolve(self.session, asked.dataset)).encode())
        return figure_key(self.dataset.encode() if isinstance(asked, NoRows) else b"", *told, measure_key(asked))


def _identity(snapshot: Snapshot) -> str:
    return f"{snapshot.digest} {len(snapshot.layers)}"


def _metric(profile: Profile, metric: Metric, column: str) -> float | None:
    """A figure of an earlier version, if it had the column."""
    found = next((one for one in profile.columns if one.name == column), None)
    if found is None:
        return None
    match metric:
        case "nulls":
            return found.nulls / found.count if found.count else 0.0
        case "distinct":
            return float(found.distinct)
        case "mean":
            return found.mean
        case "std":
            return found.std
        case "rows":
            return float(found.count)
