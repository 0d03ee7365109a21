"""Variants: the deployments that an endpoint's traffic names, loaded and ready to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.features.columntypes import key_kind
from everloop.features.entities import PinnedFeatures
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import Predictor
from everloop.serving import service as endpoints
from everloop.serving.configuration import Configuration
from everloop.serving.entities import Endpoint, VariantRole
from everloop.serving.guard import Guard
from everloop.serving.layout import Layout
from everloop.serving.logkeys import log_keys
from everloop.serving.logrows import LogRows
from everloop.serving.traffic import Split

if TYPE_CHECKING:
    from everloop.features.online import OnlineFeatures
    from everloop.serving.processing import After, Before


DEFAULT = Configuration()


@dataclass(frozen=True, eq=False)
class Variant:
    """A loaded deployment. `pinned` and `online` are its features, None when everything comes with the request.

    `layout` says how its inputs are put together; `guard` when it is asked, `fallback` what answers instead. The truth
    is `margin` around its score (0: nobody knows). Where there is a `before`, the inputs are what that takes.
    """

    deployment: int
    version: int
    role: VariantRole
    probability: float
    predictor: Predictor
    inputs: tuple[Field, ...]
    pinned: PinnedFeatures | None
    online: OnlineFeatures | None
    outputs: tuple[Field, ...]
    layout: Layout
    guard: Guard | None = None
    fallback: Variant | None = None
    margin: float = 0.0
    configuration: Configuration = DEFAULT
    before: Before | None = None
    after: After | None = None

    @property
    def taken(self) -> tuple[Field, ...]:
        """What its model takes."""
        return self.inputs if self.before is None else self.before.gives

    @property
    def output(self) -> str:
        """What its score is called."""
        return self.outputs[0].name if self.outputs else "score"

    @cached_property
    def is_plain(self) -> bool:
        """Whether it gives one number a row, and nothing else."""
        one = not self.outputs or (len(self.outputs) == 1 and not self.outputs[0].shape)
        return one and all(field.type not in ("string", "bytes") for field in self.outputs)


@dataclass(frozen=True, eq=False)
class Routing:
    """An endpoint at one revision of its traffic. It never changes: a refresh makes another one and swaps them.

    `inputs` are what a request brings along, `entities` those of them that features are read by, `log` is how its
    predictions are logged; `outputs` are what answers hold, when that is more than one number a row.
    """

    endpoint: Endpoint
    split: Split
    outputs: tuple[Field, ...]
    answering: dict[int, Variant]
    shadows: tuple[Variant, ...]
    inputs: tuple[Field, ...]
    entities: tuple[str, ...]
    log: LogRows

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All deployments that are loaded."""
        return (*self.answering.values(), *self.shadows)

    @cached_property
    def has_fallback(self) -> bool:
        """Whether somebody else may answer for a deployment."""
        return any(variant.fallback is not None for variant in self.answering.values())

    @cached_property
    def margins(self) -> dict[int, float]:
        """How far the truth may be from the scores of the deployments that tell it; empty when none does."""
        return {variant.deployment: variant.margin for variant in self.answering.values() if variant.margin}

    @property
    def hung(self) -> int:
        """How many runs of models hang now, for which only a new process helps."""
        return sum(variant.guard.hung for variant in self.variants if variant.guard is not None)

    @property
    def stable(self) -> Variant:
        """The variant that answers when another one fails."""
        return self.answering[self.endpoint.stable]

    @cached_property
    def signature(self) -> Signature:
        """What a request is checked against."""
        return Signature(self.inputs, ())


def load_routing(session: Session, name: str, before: Routing | None = None) -> Routing:
    """The endpoint as its traffic stands now, every model warm; `before` itself when nothing has moved since.

    Raises:
        NotFound: the endpoint, or something that its deployments are made of, is gone.
        Refused: a model fails on the rows that it is to warm up with.
    """
    from everloop.serving.loading import Loader

    with session.begin(write=False) as unit:
        endpoint = endpoints.get(unit, name)
        if before is not None and before.endpoint == endpoint:
            return before
        split = Split(name, endpoint.allocation)
        deployed = {deployment.revision: deployment for deployment in endpoints.deployments(unit, name)}
        loader = Loader(unit, endpoint, {variant.deployment: variant for variant in before.variants} if before else {})
        variants = [
            loader.load(share, deployed[share.deployment])
            for share in endpoint.traffic
            if share.percent or share.role != "canary"
        ]
    variants += [variant.fallback for variant in variants if variant.fallback is not None]
    seen = [field for variant in variants for field in (*variant.inputs, *variant.taken)]
    logged = tuple({field.name: field for field in seen}.values())
    stable = next(variant for variant in variants if variant.role == "stable")
    outputs = () if all(variant.is_plain for variant in variants) else stable.outputs
    keys = {key.name: key for variant in variants for key in _keys(variant.pinned)}
    return Routing(
        endpoint,
        split,
        outputs,
        {variant.deployment: variant for variant in variants if variant.role in ("stable", "canary")},
        tuple(variant for variant in variants if variant.role == "shadow"),
        _request_inputs(endpoint, variants, keys),
        tuple(keys),
        LogRows(endpoint, logged, tuple(keys), outputs, log_keys(session.home, session.project)),
    )


def _request_inputs(endpoint: Endpoint, variants: Sequence[Variant], keys: dict[str, Field]) -> tuple[Field, ...]:
    """Entity keys, then what models take and no view gives, then the label's key."""
    wanted = dict(keys)
    for variant in variants:
        viewed = _viewed(variant.pinned)
        wanted |= {field.name: field for field in variant.inputs if field.name not in viewed}
    if endpoint.label_key:
        wanted.setdefault(endpoint.label_key, Field(endpoint.label_key, "string"))
    return tuple(wanted.values())


def _viewed(pinned: PinnedFeatures | None) -> set[str]:
    """The columns that are read online."""
    if pinned is None:
        return set()
    return set(pinned.columns) - {field.name for field in pinned.service.request}


def _keys(pinned: PinnedFeatures | None) -> list[Field]:
    """The key columns of the views, with the types that their sources have."""
    if pinned is None:
        return []
    types = {
        view.name: {column.name: column.type for column in pinned.sources[view.name].columns}
        for view in pinned.service.views
    }
    return [
        Field(key, key_kind(types[view.name][key], key)) for view in pinned.service.views for key in view.entity.keys
    ]
