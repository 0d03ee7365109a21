"""What serving is about."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json
from everloop.serving.configuration import Configuration, Resources
from everloop.store.entities import Digest

ShareRole = Literal["stable", "canary", "shadow"]
VariantRole = Literal["stable", "canary", "shadow", "fallback"]
"""A fallback has no share: it answers what others fail on, and belongs to no deployment of its own (number 0)."""


class Share(msgspec.Struct, frozen=True):
    """A deployment's part of the traffic, in percent. A shadow sees every request, answers none, and has no part."""

    deployment: int
    percent: float
    role: ShareRole = "stable"


class Span(msgspec.Struct, frozen=True):
    """Millionths of the keys, from `start` up to `stop`, that meet a deployment."""

    start: int
    stop: int
    deployment: int


class LogPolicy(msgspec.Struct, frozen=True):
    """What the inference log keeps of an endpoint's predictions, and how. The default keeps everything as it is.

    `sample` is the part of the keys whose predictions are logged: a key is in or out for good. Inputs and keys in
    `without` are left out; those in `encrypted` can be read only with the project's key. With `pseudonyms` the keys of
    units and entities are kept under other names, the same ones in predictions and labels. What is older than
    `retention_days` goes with the next compaction (0: never). When the log cannot be written, `failure` says whether
    requests are refused or answered all the same. What is answered has been synced to the disk; with `durability`
    "write" it has only been given to the system, so that it outlives this process, but not a power cut.
    """

    sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    without: tuple[str, ...] = ()
    encrypted: tuple[str, ...] = ()
    pseudonyms: bool = False
    retention_days: Annotated[int, msgspec.Meta(ge=0)] = 0
    failure: Literal["refuse", "answer"] = "refuse"
    durability: Literal["sync", "write"] = "sync"


class Endpoint(msgspec.Struct, frozen=True):
    """A name that predictions are asked of.

    `features` is the feature service that is read online ("" for none); `label_key` is the request column that labels
    are joined by and that keeps a unit with its variant ("" for the prediction's id). `traffic` moves; `revision` grows
    with every move; `allocation` says which keys meet which deployment; `log` what is kept of the predictions.
    """

    name: Name
    model: Name
    features: str
    label_key: str
    traffic: tuple[Share, ...]
    allocation: tuple[Span, ...]
    revision: int
    created: datetime
    log: LogPolicy = LogPolicy()

    @property
    def stable(self) -> int:
        """The deployment that everything goes back to."""
        return next(share.deployment for share in self.traffic if share.role == "stable")


class Deployment(msgspec.Struct, frozen=True):
    """An immutable revision of an endpoint: one model version, fixed by its digest, how it answers, and on what.

    `package` is the digest of the package that it is run from ("" for none). No two of an endpoint are the same.
    """

    endpoint: Name
    revision: int
    model: Name
    version: int
    model_digest: Digest
    package: str
    created: datetime
    configuration: Configuration = Configuration()
    resources: Resources = Resources()


class EndpointDeclaration(msgspec.Struct, frozen=True):
    """An endpoint as a project declares it: what it answers with, how, and what is kept of its predictions."""

    name: Name
    model: Name
    features: str = ""
    label_key: str = ""
    configuration: Configuration = Configuration()
    resources: Resources = Resources()
    log: LogPolicy = LogPolicy()


class AppliedEndpoint(msgspec.Struct, frozen=True):
    """What became of a declaration. `deployment` is the one that answers as declared, 0 while there is none.

    It is `waiting` while its model has no version, and `deployed` when the traffic is divided: then nothing is moved.
    """

    name: Name
    status: Literal["waiting", "created", "unchanged", "moved", "deployed"]
    deployment: int = 0


class TrafficChange(msgspec.Struct, frozen=True):
    """A move of an endpoint's traffic. `restored` is the revision that a rollback went back to, 0 otherwise."""

    endpoint: Name
    revision: int
    traffic: tuple[Share, ...]
    allocation: tuple[Span, ...]
    restored: int
    at: datetime


class Label(msgspec.Struct, frozen=True):
    """The truth about a unit, from 0 to 1, known from `at` on (default: now). The first label of a key counts."""

    key: str
    value: float
    at: datetime | None = None


class FeedbackReceipt(msgspec.Struct, frozen=True):
    """How many labels were kept, and how many had come before."""

    accepted: int
    duplicates: int


class Compaction(msgspec.Struct, frozen=True):
    """What a compaction did: segments and rows that became Parquet, and files of days that had to go."""

    segments: int
    rows: int
    bytes: int
    removed: tuple[str, ...]


class PredictionRecord(msgspec.Struct, frozen=True):
    """A prediction as it was logged, with the label that came for it since.

    `output` is None when the deployment failed on this row; `probability` is the chance that this unit had of meeting
    this deployment; `entities` are the keys that online features were read by; `outputs` is all that the model gave,
    when that was more than one number.
    """

    id: str
    request_id: str
    endpoint: Name
    deployment: int
    model_version: int
    role: VariantRole
    probability: float
    at: datetime
    key: str
    features: dict[str, float | str | None]
    entities: dict[str, str | None]
    output: float | None
    latency_us: int
    label: float | None = None
    label_at: datetime | None = None
    outputs: dict[str, Json] | None = None


class EndpointCreated(Event, frozen=True, kw_only=True, tag="endpoints.created"):
    """An endpoint was made."""

    model: str
    features: str
    label_key: str


class LogPolicySet(Event, frozen=True, kw_only=True, tag="endpoints.log_policy_set"):
    """What is kept of an endpoint's predictions was decided anew."""

    policy: LogPolicy


class LogCompacted(Event, frozen=True, kw_only=True, tag="endpoints.log_compacted"):
    """Segments of an endpoint's log became Parquet files; days that the policy does not keep are gone."""

    segments: int
    rows: int
    removed: tuple[str, ...]


class Revealed(Event, frozen=True, kw_only=True, tag="endpoints.revealed"):
    """Somebody opened the sealed values of a prediction."""


class Deployed(Event, frozen=True, kw_only=True, tag="endpoints.deployed"):
    """A model version became a deployment of an endpoint; it has no traffic yet."""

    deployment: int
    version: int
    digest: Digest
    configuration: Configuration = Configuration()
    resources: Resources = Resources()


class TrafficMoved(Event, frozen=True, kw_only=True, tag="endpoints.traffic_moved"):
    """An endpoint's traffic was divided anew."""

    revision: int
    traffic: tuple[Share, ...]


class RolledBack(Event, frozen=True, kw_only=True, tag="endpoints.rolled_back"):
    """An endpoint's traffic went back to what it was at the revision `restored`."""

    revision: int
    restored: int
    traffic: tuple[Share, ...]
