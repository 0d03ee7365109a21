"""Facts: what is worth telling about a thing with a URN, in a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from everloop.catalog.session import Session
from everloop.datasets.content import snapshot_of
from everloop.datasets.entities import Snapshot
from everloop.datasets.splits import sentences
from everloop.datasets.splits.service import split_with
from everloop.features import service as features
from everloop.kernel.errors import NotFound
from everloop.kernel.ids import Urn, parse_urn
from everloop.loop import candidates as states
from everloop.loop.entities import Candidate
from everloop.pipelines import service as pipelines
from everloop.registry import service as models
from everloop.rollouts import service as rollouts
from everloop.serving import service as endpoints
from everloop.serving.inferencelog import LogReader
from everloop.tracking import service as tracking

Facts = dict[str, str]


def facts_of(session: Session, urn: str) -> Facts:
    """What is known of a thing; nothing when it is unknown, or of a kind that has no facts."""
    parsed = parse_urn(urn)
    tell = _KINDS.get(parsed.kind)
    if tell is None:
        return {}
    try:
        return {name: text for name, text in tell(session, parsed).items() if text}
    except NotFound:
        return {}


def predictions_of(session: Session, urns: Iterable[str]) -> dict[str, int]:
    """How many predictions each deployment among some URNs has answered or shadowed, counted in the inference logs."""
    import pyarrow.compute as pc

    deployments = [parse_urn(urn) for urn in urns if urn.startswith("deployment:")]
    counts: dict[str, int] = {}
    for endpoint in {urn.name for urn in deployments}:
        for batch in LogReader(session.home, session.project, endpoint).since()[0]:
            for found in pc.value_counts(batch.column("deployment")).to_pylist():
                urn = session.urn("deployment", endpoint, found["values"])
                counts[urn] = counts.get(urn, 0) + found["counts"]
    return counts


def _number(urn: Urn) -> int:
    """The version that a URN names, 0 for none.

    Raises:
        NotFound: it is no number, so there is no such version.
    """
    if not urn.version.isdecimal():
        if urn.version:
            raise NotFound(f"{urn} has no number for a version.")
        return 0
    return int(urn.version)


def _dataset(session: Session, urn: Urn) -> Facts:
    found = snapshot_of(session, urn.name, _number(urn))
    return {
        "rows": f"{found.rows:,} in {len(found.columns)} columns",
        "bytes": f"{found.bytes:,} at {found.digest}",
        "held": _held(session, found),
        "part": _part(session, str(urn)),
        "made from": ", ".join(f"{found.dataset}@{version}" for version in found.base),
        "note": " ".join(found.note.split())[:160],
    }


def _held(session: Session, found: Snapshot) -> str:
    if found.purged is not None:
        return f"purged on {found.purged.at:%Y-%m-%d} by {found.purged.by}: {found.purged.reason}"
    return "the store has them" if session.store.has(found.digest) else "the store has lost them"


def _part(session: Session, urn: str) -> str:
    found = split_with(session, urn)
    return sentences.told(*found) if found else ""


def _proof(session: Session, training: str, holdout: str) -> str:
    """What proves that a model's training and holdout share nothing, if they are parts of one split."""
    one, other = (split_with(session, urn) if urn else None for urn in (training, holdout))
    if one is None or other is None or one[0].id != other[0].id:
        return ""
    return sentences.proved(one[0], one[1], other[1])


def _model(session: Session, urn: Urn) -> Facts:
    found = models.version(session, urn.name, _number(urn))
    decisions = [
        f"{one.decision} by {one.approver}: {one.reason}" for one in models.approvals(session, urn.name, found.version)
    ]
    return {
        "registered": f"{found.created:%Y-%m-%d %H:%M} UTC",
        "files": f"{found.trained.digest} ({found.trained.flavor})",
        "metrics": ", ".join(f"{name}={value:.4f}" for name, value in sorted(found.trained.metrics.items())),
        "trained on": _bare(found.trained.training),
        "held out": _bare(found.trained.holdout),
        "proof": _proof(session, found.trained.training, found.trained.holdout),
        "candidate": _candidate(states.of_model(session, urn.name, found.version)),
        "decision": decisions[0] if decisions else "",
    }


def _bare(urn: str) -> str:
    return urn.partition("/")[2]


def _candidate(found: Candidate | None) -> str:
    if found is None:
        return ""
    gates = ", ".join(gate.gate for gate in found.gates if gate.passed) or "none"
    return f"number {found.number} of loop {found.loop} ({found.trigger}): {found.reason} Gates passed: {gates}."


def _run(session: Session, urn: Urn) -> Facts:
    found = tracking.get(session, urn.name)
    code = found.code.revision + (" with uncommitted changes" if found.code.dirty else "")
    return {
        "status": f"{found.status}, started {found.started:%Y-%m-%d %H:%M} UTC",
        "code": f"{code} on {found.code.branch}" if found.code.revision else "",
        "environment": found.environment,
        "parameters": ", ".join(f"{name}={value}" for name, value in sorted(found.parameters.items())),
    }


def _execution(session: Session, urn: Urn) -> Facts:
    found = pipelines.execution(session, urn.name)
    steps = [
        f"{step.name} {'remembered' if step.hit else f'{step.seconds:.2f} s'} → {step.output_digest[:12]}"
        for step in found.steps
    ]
    return {
        "pipeline": found.pipeline,
        "arguments": ", ".join(f"{name}={value}" for name, value in found.arguments.items()),
        "steps": "; ".join(steps),
    }


def _feature_service(session: Session, urn: Urn) -> Facts:
    found = features.service(session, urn.name, _number(urn))
    names = [f"{view.name} ({', '.join(feature.name for feature in view.features)})" for view in found.views]
    return {"views": "; ".join(names), "request": ", ".join(field.name for field in found.request)}


def _deployment(session: Session, urn: Urn) -> Facts:
    wanted = _number(urn)
    found = next((one for one in endpoints.deployments(session, urn.name) if one.revision == wanted), None)
    if found is None:
        return {}
    return {
        "serves": f"{found.model}@{found.version}",
        "files": found.model_digest,
        "since": f"{found.created:%Y-%m-%d %H:%M} UTC",
    }


def _rollout(session: Session, urn: Urn) -> Facts:
    found = rollouts.get(session, urn.name)
    return {
        "status": f"{found.status}: {found.reason}" if found.reason else found.status,
        "versions": f"deployment {found.challenger} against {found.stable}; {found.units} units met it",
    }


_KINDS: dict[str, Callable[[Session, Urn], Facts]] = {
    "dataset": _dataset,
    "model": _model,
    "run": _run,
    "execution": _execution,
    "feature_service": _feature_service,
    "deployment": _deployment,
    "rollout": _rollout,
}
