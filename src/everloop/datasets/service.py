"""What one can do with data: commit, derive and compare versions, look into them."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import (
    columns_at,
    come_from,
    commit_table,
    profile_of,
    read_table,
    snapshot_at,
    snapshot_of,
    urn_of,
    write_table,
)
from everloop.datasets.engine import TableEngine
from everloop.datasets.entities import (
    At,
    Change,
    Dataset,
    Format,
    Profile,
    Snapshot,
    SnapshotDiff,
)
from everloop.datasets.evolution import Evolve, arrow_types, require_compatible
from everloop.datasets.formats import from_bytes, normalised
from everloop.datasets.history.ancestry import ancestry, bases_of
from everloop.datasets.history.columns import columns_diff
from everloop.datasets.quality.quarantine import admit
from everloop.datasets.quality.suites.entities import OnFailure
from everloop.datasets.sources import sources_of
from everloop.datasets.tables import datasets, snapshots
from everloop.datasets.text import json_rows
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json, usecase
from everloop.store.entities import Digest

_MOST_ROWS = 1000


@usecase("datasets.commit", permission="datasets:write", route="POST /datasets/{name}/snapshots", long=True)
def commit(
    session: Session,
    name: Name,
    digest: Digest,
    format: Format,
    note: str = "",
    branch: Name = "main",
    base: int = 0,
    on_failure: OnFailure = "",
    evolve: Evolve = "compatible",
    source: str = "",
) -> Snapshot:
    """Commit a table's file that is in the store as the next version of a branch; what its head holds gives the head.

    `base` is the version that the change was made from: when the branch has moved on since, the commit is refused.
    In CSV, empty and NA (unless quoted) are missing values, in every column. CSV and lines of JSON may be packed by
    gzip or zstd, and are read in the types of the version before where they can be. Columns must not vanish or get
    narrower or other types, unless `evolve` is "any". `on_failure` says what becomes of rows that fail what is
    expected of the dataset: refuse all, keep all, or set those that fail aside (quarantine). If it is not given, the
    dataset's suite says so where it gates commits, and all are kept elsewhere. `source` is the version that the file
    comes from (`deliveries@3`), for traces to lead there.
    """
    before = columns_at(session, name, branch) if evolve == "compatible" else ()
    table = from_bytes(session.ports.get(TableEngine), session.store.get(digest), format, arrow_types(before))
    require_compatible(before, table, name)
    change = Change(note, come_from(session, source), branch, (base,) if base else ())
    return admit(session, name, normalised(table), on_failure, lambda rows: commit_table(session, name, rows, change))


@usecase("datasets.derive", permission="datasets:write", route="POST /datasets/{name}/derivations", long=True)
def derive(session: Session, name: Name, sql: str, inputs: tuple[str, ...], note: str = "") -> Snapshot:
    """Commit the result of a query over snapshots; it calls `flights@2` flights and `photos/meta/labels.csv` labels."""
    sources, tables = sources_of(session, inputs)
    result = session.ports.get(TableEngine).query(sql, tables)
    return write_table(session, name, result, [urn_of(session, source) for source in sources], note or sql)


@usecase("datasets.query", permission="datasets:read", route="POST /queries", long=True)
def query(session: Session, sql: str, inputs: tuple[str, ...], limit: int = 100) -> list[dict[str, Json]]:
    """The first rows of what a query over snapshots gives (see `derive`); nothing is kept or changed."""
    _, tables = sources_of(session, inputs)
    result = session.ports.get(TableEngine).query(sql, tables)
    return json_rows(result.slice(0, max(0, min(limit, _MOST_ROWS))))


@usecase("datasets.list", permission="datasets:read", route="GET /datasets")
def list_datasets(session: Session) -> list[Dataset]:
    """Every dataset, by name."""
    query = select(datasets).where(datasets.c.project == session.project).order_by(datasets.c.name)
    return session.all(Dataset, query)


@usecase("datasets.get", permission="datasets:read", route="GET /datasets/{name}")
def get(session: Session, name: Name, version: int = 0, at: At = "") -> Snapshot:
    """A version of a dataset; 0 is the newest of main, and `at` may be a tag, a branch or a time."""
    return snapshot_at(session, name, version or at)


@usecase("datasets.log", permission="datasets:read", route="GET /datasets/{name}/snapshots")
def log(session: Session, name: Name, at: At = "", limit: int = 0) -> list[Snapshot]:
    """Every version of a dataset, newest first; with `at` only those that led to it, by way of both sides of merges."""
    found = snapshot_at(session, name, at) if at else None
    here = (snapshots.c.project == session.project) & (snapshots.c.dataset == name)
    every = session.all(Snapshot, select(snapshots).where(here).order_by(snapshots.c.version.desc()))
    if not every:
        snapshot_of(session, name)
    wanted = ancestry(bases_of(session, name), found.version) if found else None
    chosen = [each for each in every if wanted is None or each.version in wanted]
    return chosen[:limit] if limit > 0 else chosen


@usecase("datasets.profile", permission="datasets:read", route="GET /datasets/{name}/profile", long=True)
def profile(session: Session, name: Name, version: int = 0) -> Profile:
    """What each column of a version holds: missing values, range, mean, quantiles, most frequent values."""
    return profile_of(session, snapshot_of(session, name, version))


@usecase("datasets.preview", permission="datasets:read", route="GET /datasets/{name}/rows")
def preview(session: Session, name: Name, version: int = 0, limit: int = 20) -> list[dict[str, Json]]:
    """The first rows of a version; times are in ISO 8601."""
    table = read_table(session, snapshot_of(session, name, version))
    return json_rows(table.slice(0, max(0, min(limit, _MOST_ROWS))))


@usecase("datasets.diff", permission="datasets:read", route="GET /datasets/{name}/diff")
def diff(session: Session, name: Name, before: At, after: At = "") -> SnapshotDiff:
    """How a dataset's columns and rows changed between two versions; the newest of main unless `after` says another."""
    return columns_diff(snapshot_at(session, name, before), snapshot_at(session, name, after))
