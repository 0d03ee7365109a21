"""What a suite is declared as, where it gates, and what importing, quarantining and suggesting give."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.datasets.entities import Snapshot
from everloop.datasets.quality.expectations import Expectation
from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Place = Literal["commit", "merge", "training", "deployment"]
"""Where a suite can stand in the way of data that fails it."""
OnFailure = Literal["", "refuse", "quarantine", "keep"]
"""What becomes of a commit whose rows fail: as the dataset's suite says, refused, split, or kept as it is."""
SuiteFormat = Literal["yaml", "pandera", "great_expectations", "dbt", "odcs"]


class SuiteDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of a dataset, where that gates, and what a commit that fails comes to."""

    dataset: Name
    expectations: tuple[Expectation, ...]
    gates: tuple[Place, ...] = ()
    on_failure: Literal["refuse", "quarantine"] = "refuse"


class Gating(msgspec.Struct, frozen=True):
    """Where the suite of a dataset gates, since when."""

    dataset: Name
    gates: tuple[Place, ...] = ()
    on_failure: Literal["refuse", "quarantine"] = "refuse"
    at: datetime | None = None


class AppliedSuite(msgspec.Struct, frozen=True):
    """A suite that is in force."""

    dataset: Name
    expectations: int
    gates: tuple[Place, ...]
    changed: bool


class NotTaken(msgspec.Struct, frozen=True):
    """A part of a foreign suite that has no equal here: what and where it is, and why it was not taken."""

    what: str
    reason: str


class ImportedSuite(msgspec.Struct, frozen=True):
    """What importing a suite came to. `notes` say where something that was taken means a little more or less here."""

    declaration: SuiteDeclaration
    not_taken: tuple[NotTaken, ...] = ()
    notes: tuple[str, ...] = ()
    installed: bool = False


class Quarantined(msgspec.Struct, frozen=True):
    """A version that was split: the rows that pass as a new version, and those that fail, each with its reasons.

    Nothing is lost: `clean.rows` and `quarantined.rows` together are `rows`.
    """

    rows: int
    clean: Snapshot | None
    quarantined: Snapshot | None
    reasons: dict[str, int] = {}


class GatesSet(Event, frozen=True, kw_only=True, tag="datasets.gates_set"):
    """Where the suite of a dataset gates was changed."""

    gates: tuple[Place, ...]
    on_failure: str


class RowsQuarantined(Event, frozen=True, kw_only=True, tag="datasets.rows_quarantined"):
    """Rows of a dataset were set aside because they fail what is expected of it."""

    rows: int
    quarantined: int
    into: str


class GateOverridden(Event, frozen=True, kw_only=True, tag="datasets.gate_overridden"):
    """A version was kept although it fails a suite that gates commits."""

    failed: tuple[str, ...]
