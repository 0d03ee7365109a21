"""How a deployment answers: what is decided when a version is deployed, and never changes afterwards."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json
from everloop.registry.entities import Field
from everloop.serving.nodes import Node
from everloop.store.entities import Digest

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Circuit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a model is left alone because it fails.

    The circuit opens when, of the last `calls` runs and at least `least` of them, the part `rate` has failed. After
    `open_seconds` it lets single runs through; when `probes` of them in a row went well, it closes.
    """

    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    calls: Count = 20
    least: Count = 5
    open_seconds: Positive = 10.0
    probes: Count = 2


class OtherVersion(msgspec.Struct, frozen=True, tag="version", tag_field="kind", forbid_unknown_fields=True):
    """Another version of the model answers; by default the one that is the stable deployment's as this one is made.

    `pinned` (that version) and `digest` are filled in when it is deployed.
    """

    version: Annotated[int, msgspec.Meta(ge=0)] = 0
    pinned: int = 0
    digest: Digest | Literal[""] = ""


class Constant(msgspec.Struct, frozen=True, tag="constant", tag_field="kind", forbid_unknown_fields=True):
    """The same answer for all."""

    value: float


class Rule(msgspec.Struct, frozen=True, tag="rule", tag_field="kind", forbid_unknown_fields=True):
    """An expression over the model's inputs, such as `0.9 if distance > 500 else 0.2`."""

    expression: str


class OtherEndpoint(msgspec.Struct, frozen=True, tag="endpoint", tag_field="kind", forbid_unknown_fields=True):
    """What another endpoint's stable deployment answers, from its own features; requests bring what that needs, too."""

    endpoint: Name


Fallback = OtherVersion | Constant | Rule | OtherEndpoint


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function of the project, `module:function`, that runs in the process which answers.

    `folder` (the project's) and `digest` (of the function and all that it reaches) are filled in when it is deployed.
    """

    function: Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:[\w.]+$", max_length=500)]
    folder: str = ""
    digest: Digest | Literal[""] = ""


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a deployment answers. The default asks the model, and nothing else.

    `slo_ms` is the time to an answer that is kept to under load, by which requests are let in and put together (0: the
    server's); the stable deployment's counts when a process starts. A run that takes longer than `timeout_ms` has
    failed (0: it may take its time). `fallback` answers what the model fails on, and all while its `circuit` is open.
    `graph` puts models together. `interval` is how often the truth may lie outside of the answers' intervals, 0.1 for
    one in ten (0: no intervals). Of requests with more than `explain_rows` rows no explanation is given. `warm_up` are
    rows that must be answered before the deployment meets a request.

    `before` takes columns by name (`inputs`; by default what the model takes) and gives what the model takes; `after`
    takes the scores and gives as many answers.
    """

    slo_ms: NotNegative = 0.0
    timeout_ms: NotNegative = 0.0
    circuit: Circuit | None = None
    fallback: Fallback | None = None
    graph: Node | None = None
    interval: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    explain_rows: Annotated[int, msgspec.Meta(ge=0)] = 20
    warm_up: tuple[dict[str, Json], ...] = ()
    before: Code | None = None
    inputs: tuple[Field, ...] = ()
    after: Code | None = None


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deployment is run with: cores, memory in MB and GPUs of each replica (0: not said)."""

    cpu: NotNegative = 0.0
    memory_mb: NotNegative = 0.0
    gpu: Annotated[int, msgspec.Meta(ge=0)] = 0
    replicas: Count = 1
