"""What tracking is about: experiments, runs, metrics, artifacts, the code and environment that a run had."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

LoggedModelStatus = Literal["pending", "ready", "failed"]
RunStatus = Literal["scheduled", "running", "finished", "failed", "killed"]


class Experiment(msgspec.Struct, frozen=True):
    """A group of runs that are compared with each other.

    `title` is what people call it, where that is no Name; `location` is where clients put the artifacts of its runs
    themselves, empty for the store. Deleted, it is out of sight and takes no runs, and can be restored.
    """

    name: Name
    description: str
    created: datetime
    title: str = ""
    tags: dict[str, str] = {}
    location: str = ""
    deleted: datetime | None = None
    changed: datetime | None = None


class CodeRevision(msgspec.Struct, frozen=True):
    """The state of the code: commit, branch, whether files differ from it, and the store's address of the difference.

    Outside of a git repository every field is empty.
    """

    revision: str = ""
    branch: str = ""
    dirty: bool = False
    diff_digest: str = ""


class Environment(msgspec.Struct, frozen=True):
    """What a run ran in: enough to make it again, and nothing secret (variables are taken by an allow-list).

    `memory` is in bytes; `command` is the command line, with what may be secret in it masked.
    """

    python: str
    platform: str
    cpu_count: int
    packages: dict[str, str]
    threads: dict[str, str]
    hash_seed: str
    variables: dict[str, str]
    system: str = ""
    cpu: str = ""
    memory: int = 0
    gpus: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


class MetricPoint(msgspec.Struct, frozen=True):
    """One measured value. `None` is how JSON carries NaN and infinities; in process they stay floats."""

    key: str
    value: float | None
    step: int = 0
    at: datetime | None = None


class Points(msgspec.Struct, frozen=True):
    """Measured values as columns: the keys, and four equally long little-endian columns that name them by number."""

    keys: tuple[str, ...]
    key: bytes
    """uint32: which of the keys."""
    step: bytes
    """int64."""
    at: bytes
    """int64: microseconds since 1970."""
    value: bytes
    """float64: NaN and infinities as they are."""

    def __len__(self) -> int:
        return len(self.key) // 4


class Logged(msgspec.Struct, frozen=True):
    """One write to one run: all of it or nothing.

    A client that may send it twice names itself as the `writer` and counts its writes from 1 in `sequence`: the same
    one again changes nothing. `amend` lets it through to a run that has ended, which the ledger then tells.
    """

    run: str
    points: Points | None = None
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[str, ...] = ()
    writer: str = ""
    sequence: int = 0
    amend: bool = False


class Artifact(msgspec.Struct, frozen=True):
    """A file of a run: its path within the run, its address in the store, its size in bytes."""

    path: str
    digest: Digest
    size: int


class Run(msgspec.Struct, frozen=True):
    """One training or evaluation: what went in, what came out. Ended, it stays as it is unless somebody resumes it.

    `metrics` holds the latest value of each key: the one with the largest (step, time, value). `environment` is the
    store's address of an Environment. `group` is a name that runs share which belong together; `note` is Markdown.
    """

    id: str
    experiment: Name
    name: str
    status: RunStatus
    parameters: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float | None]
    inputs: tuple[str, ...]
    code: CodeRevision
    environment: str
    started: datetime
    ended: datetime | None = None
    parent: str = ""
    deleted: datetime | None = None
    user: str = ""
    group: str = ""
    note: str = ""


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """What was measured of a logged model in a run, on a dataset if it is named; the time is in ms since 1970."""

    run: str
    key: str
    value: float
    at: int
    step: int
    dataset: str = ""
    digest: str = ""


class LoggedModel(msgspec.Struct, frozen=True):
    """What a client logged as a model, of a run or of none. Its files are artifacts under its id.

    `measured` is a document of the latest Measured of each run, key and dataset (see tracking.loggedmodels).
    """

    id: str
    experiment: Name
    run: str
    name: str
    kind: str
    status: LoggedModelStatus
    parameters: dict[str, str]
    tags: dict[str, str]
    created: datetime
    updated: datetime
    deleted: datetime | None = None
    measured: bytes | None = None


class ExperimentCreated(Event, frozen=True, kw_only=True, tag="experiments.created"):
    """An experiment was made."""


class ExperimentChanged(Event, frozen=True, kw_only=True, tag="experiments.changed"):
    """An experiment's title, description or tags were changed."""

    title: str
    tags: dict[str, str]


class ExperimentDeleted(Event, frozen=True, kw_only=True, tag="experiments.deleted"):
    """An experiment was put out of sight."""


class ExperimentRestored(Event, frozen=True, kw_only=True, tag="experiments.restored"):
    """A deleted experiment is back."""


class RunStarted(Event, frozen=True, kw_only=True, tag="runs.started"):
    """A run began."""

    experiment: str
    revision: str


class RunLogged(Event, frozen=True, kw_only=True, tag="runs.logged"):
    """Something was logged to a run: so many metric points, these parameters, tags and inputs."""

    points: int
    parameters: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


class RunAmended(Event, frozen=True, kw_only=True, tag="runs.amended"):
    """Something was logged to a run that had ended: so many metric points, these parameters, tags and inputs."""

    points: int
    parameters: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()


class MetricsSealed(Event, frozen=True, kw_only=True, tag="runs.metrics_sealed"):
    """Metric points that were acknowledged one by one were put into blocks: how many of each key, and their digest.

    The digest is BLAKE3 of the columns step, time (µs) and value of each key, in the order in which they were logged.
    """

    points: dict[str, int]
    digest: str


class ArtifactLogged(Event, frozen=True, kw_only=True, tag="runs.artifact_logged"):
    """A file was added to a run."""

    path: str
    digest: str


class ArtifactsRemoved(Event, frozen=True, kw_only=True, tag="runs.artifacts_removed"):
    """A file, or a folder with so many files, was taken away from a run."""

    path: str
    files: int


class RunFinished(Event, frozen=True, kw_only=True, tag="runs.finished"):
    """A run ended, and stays as it is."""

    status: RunStatus


class RunResumed(Event, frozen=True, kw_only=True, tag="runs.resumed"):
    """A run that had ended goes on."""


class RunChanged(Event, frozen=True, kw_only=True, tag="runs.changed"):
    """A run was renamed, got another note, or lost a tag."""

    name: str
    lost_tag: str = ""
    noted: bool = False


class RunDeleted(Event, frozen=True, kw_only=True, tag="runs.deleted"):
    """A run was put out of sight."""


class RunRestored(Event, frozen=True, kw_only=True, tag="runs.restored"):
    """A deleted run is back."""


class RunPurged(Event, frozen=True, kw_only=True, tag="runs.purged"):
    """What a deleted run held is freed for good; `files` of so many bytes are nobody's now, unless others have them."""

    name: str
    experiment: str
    points_bytes: int
    files: int
    files_bytes: int


class ModelPurged(Event, frozen=True, kw_only=True, tag="runs.model_purged"):
    """A logged model was freed for good."""

    name: str
    files: int
    files_bytes: int


class ExperimentPurged(Event, frozen=True, kw_only=True, tag="experiments.purged"):
    """A deleted experiment, of which nothing was left, was freed for good."""


class ModelLogged(Event, frozen=True, kw_only=True, tag="runs.model_logged"):
    """A client began to log a model, brought it to an end, changed its notes, or deleted it."""

    name: str
    status: LoggedModelStatus
    deleted: bool = False
