"""What the registry is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json
from everloop.store.entities import Digest

FILES = "mlflow"
"""The flavor of what MLflow's clients logged: files that are kept as they are."""
Type = Literal[
    "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
    "bool", "string", "bytes",
]  # fmt: skip
Decision = Literal["approved", "rejected"]
Stage = Literal["None", "Staging", "Production", "Archived"]
"""MLflow's older words for what a version is used for; several versions may be in one stage."""


class Field(msgspec.Struct, frozen=True):
    """A column that a model takes or gives.

    `categories` are the values that a string input was trained on, in the order of their codes; a model treats any
    other value as missing. `shape` is the shape of a row's value: () for a single value, (28, 28) for a matrix in each
    row, -1 where any length will do. `form` says what texts stand for where they stand for times, lists, objects or
    maps (`everloop.registry.forms`); it is unset for all other columns.
    """

    name: str
    type: Type
    nullable: bool = True
    categories: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    form: str | msgspec.UnsetType = msgspec.UNSET  # Not written where it is unset: files of models keep their digests.


class Signature(msgspec.Struct, frozen=True):
    """What a model takes and gives, in the order that it was trained in."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


class Provenance(msgspec.Struct, frozen=True):
    """What a model was trained on.

    `features` is the feature service ("" when none), `training` and `holdout` are URNs of dataset snapshots, `label`
    is the holdout's column that holds the truth.
    """

    features: str = ""
    features_version: int = 0
    training: str = ""
    holdout: str = ""
    label: str = ""


class Model(msgspec.Struct, frozen=True):
    """A trained model that is not registered yet: what a `train` step returns. `digest` is the tree of its files."""

    flavor: str
    digest: Digest
    signature: Signature
    features: str = ""
    features_version: int = 0
    training: str = ""
    holdout: str = ""
    metrics: dict[str, float] = {}
    label: str = ""

    def measured(self, metrics: Mapping[str, float]) -> Model:
        """The same model with further metrics, as an `evaluate` step returns it."""
        return msgspec.structs.replace(self, metrics=self.metrics | dict(metrics))


class RegisteredModel(msgspec.Struct, frozen=True):
    """A name that versions are registered under; `latest` is the newest version's number, 0 before the first.

    The name never changes, since URNs and the ledger spell it. `title` is what people call it, where that is another
    text; `description` is Markdown; `updated` is when its versions, their stages or its own texts changed last.
    """

    name: Name
    description: str
    created: datetime
    latest: int
    title: str = ""
    updated: datetime | None = None

    @property
    def called(self) -> str:
        """What people call it."""
        return self.title or self.name


class ModelVersion(msgspec.Struct, frozen=True):
    """A registered version. What it is never changes; `note` (Markdown) and `stage` are what people say about it.

    `run` is the id of the run that made it, `card` is the Markdown that it was registered with. `source` is the URI
    that its files came from, as the client named it who registered them, `link` where that client shows the run, and
    `logged` the id of the logged model. `author` registered it. `updated` is when note or stage changed last.
    """

    model: Name
    version: int
    trained: Model
    run: str
    card: str
    created: datetime
    note: str = ""
    source: str = ""
    stage: Stage = "None"
    updated: datetime | None = None
    author: str = ""
    link: str = ""
    logged: str = ""


class Alias(msgspec.Struct, frozen=True):
    """A movable name for a version, such as `champion`."""

    model: Name
    alias: Name
    version: int
    moved: datetime


class Approval(msgspec.Struct, frozen=True):
    """A decision about a version, with what it was based on. `digest` fixes the very bytes that were judged."""

    model: Name
    version: int
    digest: Digest
    approver: str
    decision: Decision
    reason: str
    evidence: dict[str, Json]
    at: datetime


class Finding(msgspec.Struct, frozen=True):
    """Something unsafe in a model's or package's files: where, what, and whether it must stop a release."""

    path: str
    problem: str
    severity: Literal["error", "warning"] = "error"


class ModelCreated(Event, frozen=True, kw_only=True, tag="models.created"):
    """A name for models was made, with its first tags."""

    description: str
    title: str = ""
    tags: dict[str, str] = {}


class ModelRenamed(Event, frozen=True, kw_only=True, tag="models.renamed"):
    """A model is called something else; its name, which this event's subject spells, stays."""

    before: str
    after: str


class VersionRegistered(Event, frozen=True, kw_only=True, tag="models.registered"):
    """A version was registered."""

    version: int
    digest: Digest
    flavor: str
    run: str
    source: str = ""
    tags: dict[str, str] = {}


class StageMoved(Event, frozen=True, kw_only=True, tag="models.stage_moved"):
    """A version is in another stage."""

    version: int
    stage: Stage
    previous: Stage


class VersionDeleted(Event, frozen=True, kw_only=True, tag="models.version_deleted"):
    """A version was deleted; its number is never given again."""

    version: int
    digest: Digest
    reason: str


class ModelDeleted(Event, frozen=True, kw_only=True, tag="models.deleted"):
    """A model was deleted with its versions. Made again under its name, it goes on counting from `latest`."""

    latest: int = 0


class ModelTagged(Event, frozen=True, kw_only=True, tag="models.tagged"):
    """Tags of a model or of a version were set; a value of None took one away."""

    tags: dict[str, str | None]


class ModelDescribed(Event, frozen=True, kw_only=True, tag="models.described"):
    """A model or a version was given another description."""

    description: str


class AliasMoved(Event, frozen=True, kw_only=True, tag="models.alias_moved"):
    """An alias points to another version; `previous` is 0 when it is new."""

    alias: str
    version: int
    previous: int


class AliasDeleted(Event, frozen=True, kw_only=True, tag="models.alias_deleted"):
    """An alias is gone."""

    alias: str
    version: int


class VersionDecided(Event, frozen=True, kw_only=True, tag="models.approval"):
    """A version was approved or rejected."""

    version: int
    digest: Digest
    decision: Decision
    reason: str
