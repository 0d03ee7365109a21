"""What one can do with endpoints: deploy versions, divide and restore traffic, read predictions, send labels."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Table, select, update

from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.packaging.tables import packages
from everloop.registry import service as models
from everloop.registry.entities import ModelVersion
from everloop.serving.configuration import Configuration, OtherVersion, Resources
from everloop.serving.entities import (
    AppliedEndpoint,
    Compaction,
    Deployed,
    Deployment,
    Endpoint,
    EndpointCreated,
    EndpointDeclaration,
    FeedbackReceipt,
    Label,
    LogCompacted,
    LogPolicy,
    LogPolicySet,
    PredictionRecord,
    Revealed,
    RolledBack,
    Share,
    TrafficChange,
    TrafficMoved,
)
from everloop.serving.inferencelog import ENTITY, FEATURE, LogReader
from everloop.serving.labellog import LabelReader, shared_writer
from everloop.serving.logkeys import SEALED, LogKeys, log_keys
from everloop.serving.nodes import members
from everloop.serving.tables import deployments as deployed
from everloop.serving.tables import endpoints, traffic_changes
from everloop.serving.traffic import allocate, check


@usecase("endpoints.create", permission="endpoints:deploy", route="POST /endpoints")
def create(
    session: Session, name: Name, model: Name, features: str = "", label_key: str = "", version: int = 0
) -> Endpoint:
    """Make an endpoint that answers with a version of a model, the newest by default.

    `features` is the feature service to read online, by default the one that the version was trained on.

    Raises:
        Conflict: there is one with that name.
        Refused: the version cannot be served by an endpoint.
    """
    if session.first(Endpoint, select(endpoints).where(_is(endpoints, session, name))):
        raise Conflict(
            f"There is an endpoint {name!r} already.", hint=f"Deploy to it: everloop endpoints deploy {name}"
        )
    found = models.version(session, model, version)
    traffic = (Share(1, 100.0),)
    endpoint = Endpoint(
        name,
        model,
        features or found.trained.features,
        label_key,
        traffic,
        allocate(traffic),
        1,
        session.clock.now(),
    )
    _check_servable(endpoint, found)
    session.insert(endpoints, endpoint)
    session.emit(
        EndpointCreated(
            subject=session.urn("endpoint", name), model=model, features=endpoint.features, label_key=label_key
        )
    )
    deploy(session, name, found.version)
    _record(session, endpoint, restored=0)
    return endpoint


@usecase("endpoints.apply", permission="endpoints:deploy", route="PUT /endpoints")
def apply(session: Session, endpoint: EndpointDeclaration) -> AppliedEndpoint:
    """Have an endpoint answer as it is declared: the version that it has now, in the declared configuration.

    Raises:
        Conflict: the endpoint has another model, features or key.
        InvalidInput: the configuration cannot work with the version.
    """
    name = endpoint.name
    known = session.first(Endpoint, select(endpoints).where(_is(endpoints, session, name)))
    if known is None:
        if not any(one.name == endpoint.model and one.latest for one in models.list_models(session)):
            return AppliedEndpoint(name, "waiting")
        create(session, name, endpoint.model, endpoint.features, endpoint.label_key)
    found = get(session, name)
    _require_same(endpoint, found)
    if found.log != endpoint.log:
        set_log_policy(session, name, endpoint.log)
    stable = next(one for one in deployments(session, name) if one.revision == found.stable)
    made = deploy(session, name, stable.version, endpoint.configuration, endpoint.resources)
    if made.revision == stable.revision:
        return AppliedEndpoint(name, "unchanged" if known else "created", made.revision)
    if len(found.traffic) > 1:
        return AppliedEndpoint(name, "deployed", made.revision)
    set_traffic(session, name, (Share(made.revision, 100.0),), found.revision)
    return AppliedEndpoint(name, "moved" if known else "created", made.revision)


@usecase("endpoints.list", permission="endpoints:read", route="GET /endpoints")
def list_endpoints(session: Session) -> list[Endpoint]:
    """Every endpoint, by name."""
    mine = endpoints.c.project == session.project
    return session.all(Endpoint, select(endpoints).where(mine).order_by(endpoints.c.name))


@usecase("endpoints.get", permission="endpoints:read", route="GET /endpoints/{name}")
def get(session: Session, name: Name) -> Endpoint:
    """An endpoint with its traffic.

    Raises:
        NotFound: there is none with that name.
    """
    return session.one(
        Endpoint,
        select(endpoints).where(_is(endpoints, session, name)),
        f"There is no endpoint {name!r}.",
        hint="everloop endpoints list shows what there is.",
    )


@usecase("endpoints.deploy", permission="endpoints:deploy", route="POST /endpoints/{name}/deployments")
def deploy(
    session: Session,
    name: Name,
    version: int = 0,
    configuration: Configuration | None = None,
    resources: Resources | None = None,
    package: str = "",
) -> Deployment:
    """Make a model version (the newest by default) a deployment of an endpoint; it has no traffic yet.

    Deploying the same again gives the same deployment; another configuration is another deployment. Without a
    configuration, or without resources, a version keeps those that it was last deployed with, and a new one takes over
    those of the stable deployment. `package` is the digest of the package that it is to be run from.

    Raises:
        InvalidInput: something in the configuration cannot work with this version.
        Refused: the version, or a model in its graph, cannot be served by this endpoint.
    """
    from everloop.serving.pinning import pinned  # It brings NumPy, for which every start would pay.

    endpoint = get(session, name)
    found = models.version(session, endpoint.model, version)
    before = deployments(session, name)
    like = next((one for one in reversed(before) if one.version == found.version), None)
    if like is not None and configuration is None and resources is None and package in ("", like.package):
        return like
    like = like or next((one for one in before if one.revision == endpoint.stable), None)
    _check_servable(endpoint, found)
    wanted = configuration or (like.configuration if like else Configuration())
    deployment = Deployment(
        name,
        max((one.revision for one in before), default=0) + 1,
        endpoint.model,
        found.version,
        found.trained.digest,
        _packed(session, found, package),
        session.clock.now(),
        pinned(session, endpoint, found, wanted),
        resources or (like.resources if like else Resources()),
    )
    same = (one for one in before if replace(deployment, revision=one.revision, created=one.created) == one)
    return next(same, None) or _deployed(session, deployment)


def _deployed(session: Session, deployment: Deployment) -> Deployment:
    session.insert(deployed, deployment)
    urn = session.urn("deployment", deployment.endpoint, deployment.revision)
    session.emit(
        Deployed(
            subject=urn,
            deployment=deployment.revision,
            version=deployment.version,
            digest=deployment.model_digest,
            configuration=deployment.configuration,
            resources=deployment.resources,
        )
    )
    named = {(deployment.model, deployment.version)}
    graph, fallback = deployment.configuration.graph, deployment.configuration.fallback
    if graph is not None:
        named |= {(one.model or deployment.model, one.pinned) for one in members(graph)}
    if isinstance(fallback, OtherVersion):
        named.add((deployment.model, fallback.pinned))
    for model, version in sorted(named):
        lineage.link(session, urn, session.urn("model", model, version), "serves")
    lineage.link(session, urn, session.urn("endpoint", deployment.endpoint), "part_of")
    return deployment


def _packed(session: Session, found: ModelVersion, package: str) -> str:
    """The digest of a package, which must be of this version."""
    mine = (packages.c.project == session.project) & (packages.c.model == found.model)
    query = select(packages.c.digest).where(mine & (packages.c.version == found.version))
    if package and package not in session.scalars(query):
        raise InvalidInput(
            f"{package[:80]!r} is no package of version {found.version} of {found.model!r}.",
            hint=f"everloop packages list {found.model} shows what there is.",
        )
    return package


@usecase("endpoints.deployments", permission="endpoints:read", route="GET /endpoints/{name}/deployments")
def deployments(session: Session, name: Name) -> list[Deployment]:
    """The deployments of an endpoint, oldest first."""
    get(session, name)
    return session.all(Deployment, select(deployed).where(_of(deployed, session, name)).order_by(deployed.c.revision))


@usecase("endpoints.set_traffic", permission="endpoints:deploy", route="PUT /endpoints/{name}/traffic")
def set_traffic(session: Session, name: Name, shares: tuple[Share, ...], expected_revision: int = 0) -> Endpoint:
    """Divide an endpoint's traffic anew; as few units as possible meet another deployment than before.

    With `expected_revision` the traffic moves only if nobody has moved it since that revision.

    Raises:
        InvalidInput: the shares do not divide all of the traffic.
        NotFound: a share names a deployment that there is not.
        Conflict: the traffic has moved meanwhile.
    """
    endpoint = get(session, name)
    if expected_revision not in (0, endpoint.revision):
        raise Conflict(
            f"The traffic of {name!r} is at revision {endpoint.revision}, not {expected_revision}.",
            hint="Somebody moved it meanwhile: look at it again, then decide.",
        )
    check(shares)
    known = {deployment.revision for deployment in deployments(session, name)}
    unknown = sorted({share.deployment for share in shares} - known)
    if unknown:
        raise NotFound(
            f"Endpoint {name!r} has no deployment {', '.join(map(str, unknown))}.",
            hint=f"It has {', '.join(map(str, sorted(known)))}.",
        )
    moved = replace(
        endpoint, traffic=shares, allocation=allocate(shares, endpoint.allocation), revision=endpoint.revision + 1
    )
    _move(session, moved, restored=0)
    session.emit(TrafficMoved(subject=session.urn("endpoint", name), revision=moved.revision, traffic=moved.traffic))
    return moved


@usecase("endpoints.rollback", permission="endpoints:deploy", route="POST /endpoints/{name}/rollback")
def rollback(session: Session, name: Name) -> Endpoint:
    """Give all traffic back to one deployment: the stable one if others have a share, else the one before it.

    Rolling back again goes further back.

    Raises:
        Refused: this endpoint never answered with anything else.
    """
    endpoint = get(session, name)
    history = traffic_history(session, name)
    effective = history[0].restored or endpoint.revision
    divided = len(endpoint.traffic) > 1
    for change in history:
        settled = len(change.traffic) == 1
        if change.revision <= effective and settled and (divided or change.traffic[0].deployment != endpoint.stable):
            break
    else:
        raise Refused(
            f"Endpoint {name!r} has not answered with anything else before.",
            hint="Deploy a version and give it traffic: everloop endpoints set-traffic.",
        )
    restored = change.restored or change.revision
    moved = replace(endpoint, traffic=change.traffic, allocation=change.allocation, revision=endpoint.revision + 1)
    _move(session, moved, restored)
    urn = session.urn("endpoint", name)
    session.emit(RolledBack(subject=urn, revision=moved.revision, restored=restored, traffic=moved.traffic))
    return moved


@usecase("endpoints.traffic_history", permission="endpoints:read", route="GET /endpoints/{name}/traffic")
def traffic_history(session: Session, name: Name) -> list[TrafficChange]:
    """Every division of the traffic that an endpoint has had, newest first."""
    get(session, name)
    mine = _of(traffic_changes, session, name)
    return session.all(TrafficChange, select(traffic_changes).where(mine).order_by(traffic_changes.c.revision.desc()))


@usecase("endpoints.set_log_policy", permission="endpoints:deploy", route="PUT /endpoints/{name}/log-policy")
def set_log_policy(session: Session, name: Name, policy: LogPolicy) -> Endpoint:
    """Decide what is kept of an endpoint's predictions from now on, and how; what was logged before stays as it is.

    Raises:
        InvalidInput: the policy leaves out or seals the label's key, which labels are joined by.
        Misconfigured: values are to be sealed, and nothing here can.
    """
    endpoint = get(session, name)
    taken = {*policy.without, *policy.encrypted} & {endpoint.label_key} - {""}
    if taken:
        raise InvalidInput(
            f"{endpoint.label_key!r} is the label's key of {name!r}.",
            hint="Hide it with pseudonyms: labels still join.",
        )
    if policy.encrypted:
        log_keys(session.home, session.project).seal("", "")  # What cannot seal says so now, not to who asks.
    session.execute(update(endpoints).where(_is(endpoints, session, name)).values({"log": policy}))
    session.emit(LogPolicySet(subject=session.urn("endpoint", name), policy=policy))
    return replace(endpoint, log=policy)


@usecase("endpoints.compact_log", permission="endpoints:deploy", route="POST /endpoints/{name}/log/compact", long=True)
def compact_log(session: Session, name: Name) -> Compaction:
    """Turn the finished segments of an endpoint's log into Parquet files by day, and let go of days past retention.

    Readers see each prediction once at any moment. It can be killed anywhere and called again.
    """
    from everloop.serving.compaction import compact

    with session.begin(write=False) as unit:
        endpoint = get(unit, name)
    done = compact(session.home, session.project, endpoint, session.clock.now())
    if done.segments or done.removed:
        with session.begin() as unit:
            urn = unit.urn("endpoint", name)
            unit.emit(LogCompacted(subject=urn, segments=done.segments, rows=done.rows, removed=done.removed))
    return done


@usecase("endpoints.reveal", permission="endpoints:reveal", route="POST /endpoints/{name}/predictions/{id}/reveal")
def reveal(session: Session, name: Name, id: str) -> PredictionRecord:
    """A prediction with its sealed values opened; the events keep who asked.

    Raises:
        NotFound: this endpoint has logged no prediction with that id.
        Misconfigured: the key is not in the home.
    """
    record = prediction(session, name, id)
    keys = log_keys(session.home, session.project)
    session.emit(Revealed(subject=session.urn("prediction", name, id)))
    return replace(
        record,
        features={about: _opened(keys, value, FEATURE + about) for about, value in record.features.items()},
        entities={
            about: None if value is None else str(_opened(keys, value, ENTITY + about))
            for about, value in record.entities.items()
        },
    )


@usecase("endpoints.predictions", permission="endpoints:read", route="GET /endpoints/{name}/predictions")
def predictions(session: Session, name: Name, limit: int = 100, before: str = "") -> list[PredictionRecord]:
    """The newest predictions of an endpoint, newest first, without their labels.

    `before` pages: pass the last id that you saw.
    """
    get(session, name)
    if not 1 <= limit <= 10_000:
        raise InvalidInput(f"The limit is {limit}.", hint="Ask for 1 to 10000 predictions.")
    return LogReader(session.home, session.project, name).newest(limit, before)


@usecase("endpoints.prediction", permission="endpoints:read", route="GET /endpoints/{name}/predictions/{id}")
def prediction(session: Session, name: Name, id: str) -> PredictionRecord:
    """A prediction, with its label if one has come.

    Raises:
        NotFound: this endpoint has logged no prediction with that id.
    """
    get(session, name)
    record = LogReader(session.home, session.project, name).find(id)
    if record is None:
        raise NotFound(
            f"Endpoint {name!r} has logged no prediction {id!r}.",
            hint=f"everloop endpoints predictions {name} lists the newest.",
        )
    label = LabelReader(session.home, session.project, name).find(record.key)
    return record if label is None else replace(record, label=label.value, label_at=label.at)


@usecase("endpoints.feedback", permission="endpoints:predict", route="POST /endpoints/{name}/feedback", long=True)
def feedback(session: Session, name: Name, labels: tuple[Label, ...]) -> FeedbackReceipt:
    """Send the truth about units that predictions were made for; a key's first label counts.

    Labels go to a log, not to the catalog: this costs one synced write, and no transaction.

    Raises:
        InvalidInput: a label has no key, or its value is not a finite number.
    """
    with session.begin(write=False) as unit:
        endpoint = get(unit, name)
    if endpoint.log.pseudonyms:
        keys = log_keys(session.home, session.project)
        labels = tuple(replace(label, key=keys.pseudonym(label.key)) if label.key else label for label in labels)
    return shared_writer(session.home, session.project, name).append(labels, session.clock.now())


def _opened(keys: LogKeys, value: float | str | None, about: str) -> float | str | None:
    if not isinstance(value, str) or not value.startswith(SEALED):
        return value
    text = keys.open(value, about)
    try:
        return float(text)
    except ValueError:
        return text


def _require_same(declared: EndpointDeclaration, found: Endpoint) -> None:
    """What an endpoint is made with stays: its log and labels are read by it."""
    wanted = (declared.model, declared.features or found.features, declared.label_key)
    if wanted != (found.model, found.features, found.label_key):
        raise Conflict(
            f"Endpoint {found.name!r} has the model {found.model!r}, the features {found.features!r} and the key "
            f"{found.label_key!r}; declared are {wanted[0]!r}, {wanted[1]!r} and {wanted[2]!r}.",
            hint="Declare another endpoint beside it.",
        )


def _check_servable(endpoint: Endpoint, found: ModelVersion) -> None:
    """An endpoint's models are made from its own feature service, and it keeps the values of their inputs."""
    trained = found.trained
    shaped = [field.name for field in trained.signature.inputs if field.shape]
    if shaped:
        raise Refused(
            f"Version {found.version} of {found.model!r} takes arrays in each row: {', '.join(shaped)}.",
            hint=f"Serve it without an endpoint: everloop serve models:/{found.model}/{found.version}",
        )
    if trained.features and trained.features != endpoint.features:
        raise Refused(
            f"Version {found.version} of {found.model!r} was trained on the features {trained.features!r}; endpoint "
            f"{endpoint.name!r} serves {endpoint.features!r}.",
            hint="Make an endpoint of its own for it: everloop endpoints create.",
        )


def _move(session: Session, moved: Endpoint, restored: int) -> None:
    values = {"traffic": moved.traffic, "allocation": moved.allocation, "revision": moved.revision}
    session.execute(update(endpoints).where(_is(endpoints, session, moved.name)).values(values))
    _record(session, moved, restored)


def _record(session: Session, endpoint: Endpoint, restored: int) -> None:
    change = TrafficChange(
        endpoint.name, endpoint.revision, endpoint.traffic, endpoint.allocation, restored, session.clock.now()
    )
    session.insert(traffic_changes, change)


def _is(table: Table, session: Session, name: str) -> ColumnElement[bool]:
    return (table.c.project == session.project) & (table.c.name == name)


def _of(table: Table, session: Session, name: str) -> ColumnElement[bool]:
    return (table.c.project == session.project) & (table.c.endpoint == name)
