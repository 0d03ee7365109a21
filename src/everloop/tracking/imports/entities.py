"""What other trackers hold, in one form for all of them, and what was made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from everloop.kernel.events import Event
from everloop.tracking.entities import LoggedModelStatus, Measured, RunStatus

if TYPE_CHECKING:
    from everloop.tracking.points import Columns


class ForeignExperiment(msgspec.Struct, frozen=True):
    """A group of runs elsewhere: its key there, and what people call it."""

    key: str
    title: str
    created: datetime
    description: str = ""
    tags: dict[str, str] = {}
    deleted: datetime | None = None


class ForeignFile(msgspec.Struct, frozen=True):
    """A file of a run elsewhere: its path within the run, and the file that holds it, or its bytes."""

    path: str
    content: Path | bytes


class ForeignModel(msgspec.Struct, frozen=True):
    """A model that was logged elsewhere, with its files."""

    id: str
    name: str
    kind: str
    status: LoggedModelStatus
    created: datetime
    updated: datetime
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    deleted: datetime | None = None
    measured: tuple[Measured, ...] = ()
    files: tuple[ForeignFile, ...] = ()


class ForeignRun(msgspec.Struct, frozen=True):
    """A run elsewhere, but for its points and files; `parent` is the id that its parent has here.

    `inputs` are documents that describe what it used, which are kept as objects.
    """

    id: str
    experiment: str
    name: str
    status: RunStatus
    started: datetime
    ended: datetime | None = None
    user: str = ""
    parent: str = ""
    group: str = ""
    note: str = ""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[bytes, ...] = ()
    used: tuple[str, ...] = ()
    """The ids of logged models that it used."""
    revision: str = ""
    branch: str = ""
    deleted: datetime | None = None


class ForeignVersion(msgspec.Struct, frozen=True):
    """A version of a registered model elsewhere; `source` is the URI of its files, `place` where they really are."""

    number: int
    created: datetime
    source: str
    run: str = ""
    description: str = ""
    author: str = ""
    stage: str = "None"
    link: str = ""
    place: str = ""
    tags: dict[str, str] = {}


class ForeignRegistered(msgspec.Struct, frozen=True):
    """A registered model elsewhere, with its versions by their numbers."""

    title: str
    created: datetime
    description: str
    tags: dict[str, str]
    aliases: dict[str, int]
    versions: tuple[ForeignVersion, ...]


class Found(msgspec.Struct):
    """All that is known of a run elsewhere. `mark` tells it from what it was before or will be later."""

    run: ForeignRun
    mark: int
    series: Mapping[str, Columns] = {}
    files: Sequence[ForeignFile] = ()
    models: Sequence[ForeignModel] = ()
    outputs: Mapping[str, int] = {}
    """The logged models that came out of it, each with the step."""

    @property
    def points(self) -> int:
        """How many points it has."""
        return sum(len(columns[0]) for columns in self.series.values())


class Seen(msgspec.Struct, frozen=True):
    """A run elsewhere as a first look shows it: which state it is in, and how many points and files it has.

    `points` None: only reading it whole tells both.
    """

    mark: int
    points: int | None
    files: int = 0


class Untaken(msgspec.Struct, frozen=True):
    """Something that was not taken: of which run or model it is (empty: of the source), what it is, and why."""

    of: str
    what: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """What an import did, or in a dry run would do: runs in the source, those that are here as they are there,
    those that were new or had changed; points, files and bytes that came; models and versions of the registry.

    `checked` runs were read again and compared with what is here, value by value. `wrong` names what differs.
    """

    source: str
    dry_run: bool
    experiments: int
    runs: int
    here: int
    added: int
    changed: int
    points: int
    files: int
    models: int = 0
    versions: int = 0
    checked: int = 0
    wrong: tuple[str, ...] = ()
    untaken: tuple[Untaken, ...] = ()


class Source(Protocol):
    """A tracker's data, to be read: it is opened by its kind's module, and never written to."""

    @property
    def identity(self) -> str:
        """What tells this source from any other, wherever it is read from: an import goes on by it."""
        ...

    @property
    def untaken(self) -> Sequence[Untaken]:
        """What has not been taken of all that was read so far."""
        ...

    def experiments(self) -> Sequence[ForeignExperiment]:
        """The experiments."""
        ...

    def survey(self) -> Mapping[str, Seen]:
        """Every run by the id that it has here, in the order in which they are to come."""
        ...

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole, in that order; those that cannot be read are left out and told of in `untaken`."""
        ...


class RunImported(Event, frozen=True, kw_only=True, tag="runs.imported"):
    """A run came from another tracker, or what is new in it: so many points of each key, with the digest of them
    (as `runs.metrics_sealed` has it), these parameters and tags, and files by path with their digests."""

    source: str
    status: RunStatus
    points: dict[str, int]
    digest: str
    parameters: tuple[str, ...]
    tags: tuple[str, ...]
    files: dict[str, str]
