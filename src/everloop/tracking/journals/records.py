"""What a journal says: one record for each thing that happened to a run, in the order in which it did."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.tracking.entities import Environment, RunStatus


class Record(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """The root of all records."""


class Begun(Record, frozen=True, tag="begun"):
    """A run began here, or goes on here where `resumed`; a worker's journal has none, since its run began elsewhere."""

    run: str
    project: str
    experiment: str
    name: str
    started: datetime
    parent: str = ""
    group: str = ""
    resumed: bool = False


class Captured(Record, frozen=True, tag="captured"):
    """What the run ran with: the code's state (`difference` is the digest of a file in the spool), and around it."""

    environment: Environment
    revision: str = ""
    branch: str = ""
    dirty: bool = False
    difference: str = ""


class Measured(Record, frozen=True, tag="measured"):
    """Metric points, as a packed segment of so many."""

    segment: bytes
    count: int


class Noted(Record, frozen=True, tag="noted"):
    """Parameters, tags, inputs by URN, or a note in Markdown."""

    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[str, ...] = ()
    note: str | None = None


class Kept(Record, frozen=True, tag="kept"):
    """A file of the run, whose bytes are in the spool under their digest."""

    path: str
    digest: str
    size: int


class Printed(Record, frozen=True, tag="printed"):
    """Whole lines that the run's process wrote to its console."""

    text: str


class Ended(Record, frozen=True, tag="ended"):
    """The run ended."""

    status: RunStatus
    at: datetime


Recorded = Begun | Captured | Measured | Noted | Kept | Printed | Ended
"""Any record."""
