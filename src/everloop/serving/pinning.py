"""What a configuration names, looked up and checked when it is deployed: nothing that moves later can change it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import msgspec
from msgspec.structs import replace

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, Refused
from everloop.registry import service as models
from everloop.registry.entities import Field, ModelVersion
from everloop.serving import nodes
from everloop.serving.configuration import Configuration, Constant, Fallback, OtherEndpoint, OtherVersion, Rule
from everloop.serving.entities import Endpoint
from everloop.serving.nodes import Node
from everloop.serving.processing import pinned_code
from everloop.serving.wiring import inputs_of


def pinned(session: Session, endpoint: Endpoint, found: ModelVersion, wanted: Configuration) -> Configuration:
    """The configuration with every version fixed that it names.

    Raises:
        InvalidInput: something in it cannot work with this version.
        NotFound: it names a model, version, alias or endpoint that there is not.
        Refused: a model in it cannot be served here.
    """
    if wanted == Configuration():
        return wanted
    graph = wanted.graph and _node(session, endpoint, found, wanted.graph)
    fixed = replace(
        wanted,
        graph=graph,
        fallback=_fallback(session, endpoint, found, wanted),
        before=wanted.before and pinned_code(session, wanted.before),
        after=wanted.after and pinned_code(session, wanted.after),
    )
    taken = graph_inputs(session, graph, found) if graph else found.trained.signature.inputs
    _check_processing(found, fixed, taken)
    inputs = fixed.inputs or taken
    if isinstance(fixed.fallback, Rule):
        _check_rule(fixed.fallback, inputs)
    _check_warm_up(fixed, inputs)
    if fixed.interval:
        _check_interval(session, found, fixed)
    return fixed


def is_scalar(found: ModelVersion) -> bool:
    """Whether a version gives one number a row."""
    outputs = found.trained.signature.outputs
    return len(outputs) <= 1 and all(not one.shape and one.type not in ("string", "bytes") for one in outputs)


def version_of(session: Session, member: nodes.Member, own: ModelVersion) -> ModelVersion:
    """The version that a pinned member stands for."""
    return models.version(session, member.model, member.pinned) if member.model else own


def graph_inputs(session: Session, graph: Node, own: ModelVersion) -> tuple[Field, ...]:
    """What a pinned graph takes.

    Raises:
        InvalidInput: its nodes do not fit together.
    """
    return inputs_of(graph, lambda member: version_of(session, member, own).trained.signature.inputs)


def _node(session: Session, endpoint: Endpoint, own: ModelVersion, node: Node) -> Node:
    """The node with its members pinned."""
    if isinstance(node, nodes.Member):
        return _member(session, endpoint, own, node)
    if isinstance(node, nodes.Ensemble):
        _check_weights(node)
    return nodes.with_children(node, tuple(_node(session, endpoint, own, one) for one in nodes.children(node)))


def _check_weights(node: nodes.Ensemble) -> None:
    if node.weights and (len(node.weights) != len(node.members) or not sum(node.weights)):
        raise InvalidInput(
            f"The ensemble has {len(node.members)} members and the weights {node.weights}.",
            hint="Give each member a weight, one of them more than 0, or give none.",
        )


def _member(session: Session, endpoint: Endpoint, own: ModelVersion, member: nodes.Member) -> nodes.Member:
    if not member.model:
        if member.version or member.alias:
            raise InvalidInput(
                f"A member names version {member.version or member.alias} of no model.",
                hint="Name its model; without one it is the version that is deployed.",
            )
        found = own
    else:
        found = models.version(session, member.model, member.version, member.alias)
    _require_fitting(endpoint, own, found, "member of a graph")
    return replace(member, pinned=found.version, digest=found.trained.digest)


def _require_fitting(endpoint: Endpoint, own: ModelVersion, found: ModelVersion, part: str) -> None:
    title = f"Version {found.version} of {found.model!r}"
    if not is_scalar(found):
        raise Refused(
            f"{title} does not give one number a row.", hint=f"A {part} does; deploy it to an endpoint of its own."
        )
    if any(field.shape for field in found.trained.signature.inputs):
        raise Refused(f"{title} takes arrays in each row.", hint="Serve it without an endpoint: everloop serve.")
    theirs, ours = found.trained, own.trained
    if theirs.features and (theirs.features, theirs.features_version) != (endpoint.features, ours.features_version):
        raise Refused(
            f"{title} was trained on {theirs.features}@{theirs.features_version}; this deployment reads "
            f"{endpoint.features}@{ours.features_version}.",
            hint=f"A {part} reads the same features: train it on those.",
        )


def _fallback(session: Session, endpoint: Endpoint, found: ModelVersion, wanted: Configuration) -> Fallback | None:
    fallback = wanted.fallback
    if fallback is None:
        return None
    if not is_scalar(found) and not isinstance(fallback, OtherVersion):
        raise InvalidInput(
            f"Version {found.version} of {found.model!r} gives more than one number a row, and no rule can.",
            hint="Let another version be its fallback.",
        )
    if isinstance(fallback, Constant) and not isfinite(fallback.value):
        raise InvalidInput(f"The constant is {fallback.value}.", hint="Name a number that can be answered.")
    if isinstance(fallback, OtherVersion):
        return _other_version(session, endpoint, found, fallback)
    if isinstance(fallback, OtherEndpoint):
        _check_endpoint(session, endpoint, fallback)
    return fallback


def _other_version(session: Session, endpoint: Endpoint, found: ModelVersion, fallback: OtherVersion) -> OtherVersion:
    from everloop.serving import service as endpoints

    version = fallback.version
    if not version:
        deployed = endpoints.deployments(session, endpoint.name)
        answering = [one.version for one in deployed if one.revision == endpoint.stable]
        version = answering[0] if answering else 0
        if version in (0, found.version):
            known = {one.version for one in deployed if one.version < found.version}
            version = max(known, default=0)
    if version in (0, found.version):
        raise InvalidInput(
            f"There is no version before {found.version} that {endpoint.name!r} could fall back to.",
            hint="Name another version, or let a constant or a rule answer.",
        )
    other = models.version(session, endpoint.model, version)
    if other.trained.signature.outputs != found.trained.signature.outputs:
        raise InvalidInput(
            f"Version {version} of {found.model!r} answers with other outputs than version {found.version}.",
            hint="Fall back to a version that answers with the same.",
        )
    return replace(fallback, pinned=version, digest=other.trained.digest)


def _check_endpoint(session: Session, endpoint: Endpoint, fallback: OtherEndpoint) -> None:
    from everloop.serving import service as endpoints

    if fallback.endpoint == endpoint.name:
        raise InvalidInput(f"{endpoint.name!r} cannot fall back to itself.", hint="Name another endpoint.")
    other = endpoints.get(session, fallback.endpoint)
    stable = next(one for one in endpoints.deployments(session, other.name) if one.revision == other.stable)
    if not is_scalar(models.version(session, stable.model, stable.version)):
        raise InvalidInput(f"Endpoint {other.name!r} does not answer with one number a row.")


def _check_rule(rule: Rule, inputs: Sequence[Field]) -> None:
    from everloop.serving.expression import Expression

    found = Expression(rule.expression, {field.name: field for field in inputs})
    if found.kind != "number":
        raise InvalidInput(
            f"The rule {rule.expression!r} gives a {found.kind}, not a number.", hint="Write … if … else …."
        )


def _check_processing(found: ModelVersion, wanted: Configuration, taken: Sequence[Field]) -> None:
    if wanted.inputs and wanted.before is None:
        raise InvalidInput("The configuration has inputs, and no function takes them.", hint="Name one as `before`.")
    if wanted.after and not is_scalar(found):
        raise InvalidInput(f"Version {found.version} of {found.model!r} gives more than one number a row.")
    if wanted.after and wanted.interval:
        raise InvalidInput("Intervals are of a model's own answers.", hint="Leave the interval or `after` out.")
    types = {field.name: field.type for field in taken}
    for field in wanted.inputs:
        if field.shape:
            raise InvalidInput(f"The input {field.name!r} is an array in each row, which the log cannot keep.")
        if types.get(field.name, field.type) != field.type:
            raise InvalidInput(
                f"Requests bring {field.name!r} as {field.type}, and the model takes it as {types[field.name]}.",
                hint="Give what requests bring another name: the log keeps both.",
            )


def _check_warm_up(wanted: Configuration, inputs: Sequence[Field]) -> None:
    known = {field.name: field for field in inputs}
    for row in wanted.warm_up:
        unknown = sorted(row.keys() - known.keys())
        if unknown:
            raise InvalidInput(f"A warm-up row has {', '.join(unknown)}.", hint=f"The model takes {', '.join(known)}.")
        for name, value in row.items():
            text = known[name].type in ("string", "bytes")
            if value is not None and (text != isinstance(value, str) or isinstance(value, list | dict)):
                raise InvalidInput(f"A warm-up row has {msgspec.json.encode(value).decode()[:40]} for {name!r}.")


def _check_interval(session: Session, found: ModelVersion, wanted: Configuration) -> None:
    from everloop.registry.calibration.service import calibration

    if wanted.graph is not None:
        raise InvalidInput(
            "Intervals are of a model alone, not of a graph.", hint="Leave the interval or the graph out."
        )
    if calibration(session, found.trained.digest, wanted.interval) is None:
        raise Refused(
            f"Version {found.version} of {found.model!r} has no intervals that miss {wanted.interval:g} of the truth.",
            hint=f"everloop models calibrate {found.model} {found.version} --alpha {wanted.interval:g}",
        )
