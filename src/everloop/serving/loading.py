"""Loading: variants made of deployments, with their features, their guard, their fallback, warmed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from everloop.catalog.session import Session
from everloop.features import service as features
from everloop.features.onlinestore import OnlineStore
from everloop.kernel.errors import Refused
from everloop.registry import service as models
from everloop.registry.calibration.service import calibration
from everloop.registry.entities import Field, ModelVersion
from everloop.registry.flavor import Predictor
from everloop.registry.save import load_model
from everloop.serving import service as endpoints
from everloop.serving.configuration import Constant, OtherEndpoint, OtherVersion, Rule
from everloop.serving.entities import Deployment, Endpoint, Share
from everloop.serving.guard import Guard, guard_of
from everloop.serving.layout import Layout
from everloop.serving.pinning import graph_inputs, version_of
from everloop.serving.traffic import Split
from everloop.serving.variants import Variant


class Loader:
    """Makes an endpoint's variants. `known` are those of before: their guards stay, and they are warm already."""

    def __init__(self, session: Session, endpoint: Endpoint, known: Mapping[int, Variant]) -> None:
        self._session = session
        self._endpoint = endpoint
        self._known = known

    def load(self, share: Share, deployment: Deployment) -> Variant:
        """The variant that answers for a share of the traffic, warm.

        Raises:
            Refused: a model is not the one that was deployed, or fails on the rows that it is to warm up with.
        """
        found = models.version(self._session, deployment.model, deployment.version)
        split = Split(self._endpoint.name, self._endpoint.allocation)
        variant = self._variant(found, deployment)
        variant = replace(
            variant,
            deployment=share.deployment,
            role=share.role,
            probability=1.0 if share.role == "shadow" else split.chance(share.deployment),
            guard=self._guard(deployment),
            fallback=self._fallback(deployment, variant),
            margin=self._margin(found, deployment),
            configuration=deployment.configuration,
        )
        if share.deployment not in self._known:
            warm_up(variant, deployment)
        return variant

    def _variant(self, found: ModelVersion, deployment: Deployment) -> Variant:
        """The version or the graph, as one that has no share yet."""
        trained, graph = found.trained, deployment.configuration.graph
        if graph is None:
            made = self._made(found, load_model(self._session, trained), trained.signature.inputs)
            return self._processed(made, deployment)
        from everloop.serving.graph import GraphPredictor

        inputs = graph_inputs(self._session, graph, found)
        predictor = GraphPredictor(
            graph,
            inputs,
            lambda member: load_model(self._session, version_of(self._session, member, found).trained),
        )
        return self._processed(self._made(found, predictor, inputs), deployment)

    def _processed(self, variant: Variant, deployment: Deployment) -> Variant:
        """The variant with the project's code around it; that of a deployment which is known stays what it was."""
        wanted, known = deployment.configuration, self._known.get(deployment.revision)
        if wanted.before is None and wanted.after is None:
            return variant
        from everloop.serving.processing import After, Before

        after = (known.after if known else After(wanted.after)) if wanted.after else None
        if wanted.before is None:
            return replace(variant, after=after)
        takes = wanted.inputs or variant.inputs
        before = Before(wanted.before, takes, variant.inputs) if known is None else known.before
        return replace(variant, inputs=takes, layout=_layout(variant, takes), before=before, after=after)

    def _made(self, found: ModelVersion, predictor: Predictor, inputs: tuple[Field, ...]) -> Variant:
        service = self._endpoint.features
        pinned = online = None
        if service:
            from everloop.features.online import OnlineFeatures

            pinned = features.pin(self._session, service, found.trained.features_version)
            online = OnlineFeatures(self._session.ports.get(OnlineStore), pinned)
        outputs, whole = found.trained.signature.outputs, Layout(inputs, (), ())
        made = Variant(0, found.version, "fallback", 1.0, predictor, inputs, pinned, online, outputs, whole)
        return replace(made, layout=_layout(made, inputs)) if pinned else made

    def _guard(self, deployment: Deployment) -> Guard | None:
        before = self._known.get(deployment.revision)
        if before is not None:
            return before.guard
        name = f"{deployment.endpoint} {deployment.revision}"
        return guard_of(deployment.configuration, self._session.clock, name)

    def _fallback(self, deployment: Deployment, variant: Variant) -> Variant | None:
        """What answers when the variant does not: it has deployment 0, and takes what the variant takes, or its own."""
        match deployment.configuration.fallback:
            case None:
                return None
            case OtherVersion() as other:
                found = models.version(self._session, deployment.model, other.pinned)
                made = self._made(found, load_model(self._session, found.trained), found.trained.signature.inputs)
                return self._processed(made, deployment)
            case OtherEndpoint() as other:
                return self._of_endpoint(other.endpoint)
            case Constant() | Rule() as instead:
                from everloop.serving.substitutes import Substitute

                substitute = Substitute(instead, variant.inputs)
                made = replace(variant, version=0, predictor=substitute, inputs=substitute.inputs, outputs=())
                return replace(made, layout=_layout(variant, substitute.inputs), before=None, after=None)

    def _of_endpoint(self, name: str) -> Variant:
        other = endpoints.get(self._session, name)
        stable = next(one for one in endpoints.deployments(self._session, name) if one.revision == other.stable)
        found = models.version(self._session, stable.model, stable.version)
        return Loader(self._session, other, {})._variant(found, stable)

    def _margin(self, found: ModelVersion, deployment: Deployment) -> float:
        alpha = deployment.configuration.interval
        measured = calibration(self._session, found.trained.digest, alpha) if alpha else None
        return measured.margin if measured else 0.0


def _layout(variant: Variant, inputs: tuple[Field, ...]) -> Layout:
    """How inputs are put together of the features that a variant reads, and of what requests bring."""
    brought = [field.name for field in variant.pinned.service.request] if variant.pinned else []
    return Layout(inputs, variant.online.names if variant.online else (), brought)


def warm_up(variant: Variant, deployment: Deployment) -> None:
    """Have the model answer rows before the first request: those of the configuration, else one that looks like any.

    Raises:
        Refused: it fails on a row of the configuration.
    """
    rows = deployment.configuration.warm_up
    try:
        columns = _columns(variant.inputs, rows or ({},))
        scores = variant.predictor.predict(columns if variant.before is None else variant.before(columns))
        if variant.after is not None:
            scores = variant.after(scores)
        if rows and not np.isfinite(np.asarray(scores, dtype=np.float64)).all():
            raise ValueError("a score is not finite")
    except Exception as error:  # A model is foreign code.
        if rows:
            raise Refused(
                f"Deployment {deployment.revision} of {deployment.endpoint!r} fails on its warm-up rows: {error}.",
                hint="It gets no traffic in this process: mend the model or the rows, and deploy it again.",
            ) from error


def _columns(inputs: tuple[Field, ...], rows: tuple[Mapping[str, object], ...]) -> dict[str, np.ndarray]:
    """Rows as columns; what a row lacks is 0, or the first category that is known."""
    columns = {}
    for field in inputs:
        if field.type in ("string", "bytes"):
            missing: object = field.categories[0] if field.categories else None
            columns[field.name] = np.array([row.get(field.name, missing) for row in rows], dtype=object)
        else:
            values = [row.get(field.name, 0) for row in rows]
            columns[field.name] = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return columns
