"""What splits are made of: the ways to cut a version of a dataset, its parts, and the proof that they share nothing.

And what is told of a subject: where its rows are, what was made of them, what erasing it left.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

Parts = tuple[tuple[Name, float], ...]
"""The names of parts and the share of the rows that each gets, in order; the shares add up to 1."""
TRAIN_TEST: Parts = (("train", 0.8), ("test", 0.2))
NO_TIME = timedelta()


class RandomSplit(msgspec.Struct, frozen=True, tag="random"):
    """Each part gets a random share of the rows, within one row.

    Which rows depends on the seed and on their order in the source: the same rows in another order are cut elsewhere.
    """

    parts: Parts = TRAIN_TEST


class StratifiedSplit(msgspec.Struct, frozen=True, tag="stratified"):
    """Like a random split, within each group of rows that agree in the columns `by` (missing is a value too).

    Each part gets its share of each stratum within one row. What a small stratum cannot divide goes where most is owed,
    so that the shares of the whole hold as well.
    """

    by: tuple[str, ...]
    parts: Parts = TRAIN_TEST


class GroupedSplit(msgspec.Struct, frozen=True, tag="grouped"):
    """Rows that agree in the columns `by` (one person's, one machine's) stay on one side; shares are of rows.

    A part's share is met within the largest group. The order of the rows does not matter.
    """

    by: tuple[str, ...]
    parts: Parts = TRAIN_TEST


class HashSplit(msgspec.Struct, frozen=True, tag="hash"):
    """A row's part depends on its key and the seed, and on nothing else.

    So new rows move no old one from part to part, in this version or any later one, and rows with one key stay
    together; shares are met as closely as chance has it.
    """

    key: tuple[str, ...]
    parts: Parts = TRAIN_TEST


class TimeSplit(msgspec.Struct, frozen=True, tag="time"):
    """Cut at moments: rows before the first go to the first part, and so on; a moment belongs to what comes after it.

    Rows within `gap` after a cut are left out of the later part. With `known` (when a row's label was known) a row
    counts for a part only if `known` + `delay` is not after the part's end: no part holds what was not known by then.
    """

    column: str
    at: tuple[datetime, ...]
    names: tuple[Name, ...] = ("train", "test")
    gap: timedelta = NO_TIME
    known: str = ""
    delay: timedelta = NO_TIME


class TimeShares(msgspec.Struct, frozen=True, tag="time_shares"):
    """Cut by time where each part gets its share of the rows, the oldest first; rows of one moment stay together."""

    column: str
    parts: Parts = TRAIN_TEST
    gap: timedelta = NO_TIME
    known: str = ""
    delay: timedelta = NO_TIME


class KFold(msgspec.Struct, frozen=True, tag="k_fold"):
    """So many folds; each row is tested in one of them and trained on in all others: `fold1.train`, `fold1.test`, …"""

    folds: int = 5


class StratifiedKFold(msgspec.Struct, frozen=True, tag="stratified_k_fold"):
    """Folds with the same share of each stratum: the rows that agree in the columns `by`."""

    by: tuple[str, ...]
    folds: int = 5


class GroupedKFold(msgspec.Struct, frozen=True, tag="grouped_k_fold"):
    """Folds that cut no group: the rows that agree in the columns `by`."""

    by: tuple[str, ...]
    folds: int = 5


class ForwardChaining(msgspec.Struct, frozen=True, tag="forward_chaining"):
    """Folds in time: the rows are cut into `folds` + 1 blocks, and each fold trains on all blocks before its test's."""

    column: str
    folds: int = 5
    gap: timedelta = NO_TIME
    known: str = ""
    delay: timedelta = NO_TIME


InTime = TimeSplit | TimeShares | ForwardChaining
Folds = KFold | StratifiedKFold | GroupedKFold | ForwardChaining
Strategy = (
    RandomSplit
    | StratifiedSplit
    | GroupedSplit
    | HashSplit
    | TimeSplit
    | TimeShares
    | KFold
    | StratifiedKFold
    | GroupedKFold
    | ForwardChaining
)
What = Literal["rows", "keys", "time", "duplicates"]


def kind_of(strategy: Strategy) -> str:
    """What a strategy is called, such as `time_shares`."""
    return str(type(strategy).__struct_config__.tag)


class SplitPart(msgspec.Struct, frozen=True):
    """A part of a split: its name, the URN of the version that holds it, and its rows."""

    name: Name
    snapshot: str
    rows: int


class Comparison(msgspec.Struct, frozen=True):
    """One thing that was compared between two parts.

    `rows`: the numbers of the rows in the source; `keys`: the values of the columns `on`; `time`: that the first part's
    rows are before the `earliest` row of the second, and its labels not after; `duplicates`: rows that agree in all
    columns. `counts` are the different values on each side, `shared` those on both.
    """

    what: What
    first: Name
    second: Name
    on: tuple[str, ...]
    counts: tuple[int, int]
    shared: int
    holds: bool
    latest: datetime | None = None
    earliest: datetime | None = None


class Proof(msgspec.Struct, frozen=True):
    """That the parts of a split share nothing: all that was compared. `left_out` rows of the source are in no part."""

    holds: bool
    rows: int
    left_out: int
    comparisons: tuple[Comparison, ...]
    at: datetime


class Split(msgspec.Struct, frozen=True):
    """A version of a dataset cut into parts, each a version of a dataset of its own (`flights.train@1`).

    Its id follows from source, strategy and seed: the same split made again is the same. `notes` say what did not go
    evenly.
    """

    id: str
    dataset: Name
    version: int
    strategy: Strategy
    seed: int
    parts: tuple[SplitPart, ...]
    proof: Proof
    notes: tuple[str, ...]
    created: datetime


class SplitMade(Event, frozen=True, kw_only=True, tag="datasets.split_made"):
    """A version of a dataset was split."""

    source: str
    strategy: Strategy
    seed: int
    parts: tuple[SplitPart, ...]


class Subject(msgspec.Struct, frozen=True):
    """Whom or what rows are about: a column's value, as text."""

    column: str
    value: str


class Place(msgspec.Struct, frozen=True):
    """A Parquet file that holds rows of a subject: their number, and the first of the ranges that they stand in.

    Rows are numbered from 0 in the file, both ends of a range counted. A file may hold rows that nobody reads in a
    version (a later layer deleted them, another part of a split has them); their bytes are there all the same.
    """

    file: Digest
    bytes: int
    rows: int
    ranges: tuple[tuple[int, int], ...]


class Holding(msgspec.Struct, frozen=True):
    """A version that holds rows of a subject: so many can be read, and these files hold them.

    `heads` are the branches that stand at it. `related` says that lineage connects its dataset with the one that was
    asked about; of others only the column's name is the same.
    """

    snapshot: str
    rows: int
    places: tuple[Place, ...]
    heads: tuple[str, ...] = ()
    related: bool = True


class Made(msgspec.Struct, frozen=True):
    """Something that lineage says was made of rows of a subject, and the version that it leads back to."""

    urn: str
    of: str


class Sighting(msgspec.Struct, frozen=True):
    """A place outside of the versions of datasets where a subject was found, and how often."""

    urn: str
    count: int
    detail: str


class SubjectReport(msgspec.Struct, frozen=True):
    """Everywhere that a subject was found.

    `snapshots` versions were asked about, `pruned` of them answered by their profile alone. `holdings` have rows.
    `unsure` were derived from such without the column, or cannot be read: nobody can tell. `made` are runs, models and
    what else was made of them; `sightings` are in the online store and in the logs.
    """

    subject: Subject
    dataset: Name
    at: datetime
    snapshots: int
    pruned: int
    holdings: tuple[Holding, ...]
    unsure: tuple[str, ...]
    made: tuple[Made, ...]
    sightings: tuple[Sighting, ...]


class Erased(msgspec.Struct, frozen=True):
    """A branch that lost rows of a subject: the version before and, unless it was only tried, the new one without."""

    before: str
    branch: str
    rows: int
    after: str = ""


class ErasureReport(msgspec.Struct, frozen=True):
    """What erasing a subject did (or would do), and what still holds it.

    `remaining` is what is found afterwards: older versions (purge them), models (retrain them), logs. `frees` is how
    many bytes garbage collection frees once the versions among them are purged.
    """

    subject: Subject
    dataset: Name
    dry_run: bool
    erased: tuple[Erased, ...]
    remaining: SubjectReport
    frees: int


class PurgeReport(msgspec.Struct, frozen=True):
    """A version whose bytes were given up. `kept_by` are versions that have bytes in common with it, and keep those."""

    snapshot: str
    reason: str
    bytes: int
    kept_by: tuple[str, ...]
    at: datetime


class SubjectErased(Event, frozen=True, kw_only=True, tag="datasets.subject_erased"):
    """Rows of a subject were left out of the heads of branches. The value is not told: the ledger is for ever."""

    column: str
    erased: tuple[Erased, ...]


class SnapshotPurged(Event, frozen=True, kw_only=True, tag="datasets.snapshot_purged"):
    """The bytes of a version were given up; `digest` is what their address was."""

    digest: str
    reason: str
    kept_by: tuple[str, ...]
