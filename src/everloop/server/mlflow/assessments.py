"""Assessments for MLflow's clients: feedback, expectations and issues, said of a trace or of one of its spans."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.server.mlflow.traceforms import moment, read_moment
from everloop.tracking.traces import assessing
from everloop.tracking.traces.entities import Assessment, AssessmentKind, Source

_KINDS: tuple[AssessmentKind, ...] = get_args(AssessmentKind)
_RUN = "mlflow.assessment.sourceRunId"
_JSON_FORMAT = "JSON_FORMAT"
_FIELDS = ("assessment_name", "expectation", "feedback", "rationale", "metadata", "valid")


class SentSource(msgspec.Struct, frozen=True):
    """Who says it."""

    source_type: str = "SOURCE_TYPE_UNSPECIFIED"
    source_id: str = ""


class Sent(msgspec.Struct, frozen=True):
    """An assessment as it travels; what it says is under the name of its kind."""

    assessment_name: str = ""
    assessment_id: str = ""
    span_id: str = ""
    source: SentSource = SentSource()
    create_time: str = ""
    last_update_time: str = ""
    feedback: dict[str, Any] | None = None
    expectation: dict[str, Any] | None = None
    issue: dict[str, Any] | None = None
    rationale: str = ""
    metadata: dict[str, str] = {}
    overrides: str = ""
    valid: bool = True


class Create(msgspec.Struct, frozen=True):
    """What somebody says of a trace."""

    trace_id: str
    assessment: Sent


class ById(msgspec.Struct, frozen=True):
    """An assessment of a trace."""

    trace_id: str
    assessment_id: str


class Update(ById, frozen=True):
    """What an assessment is to say from now on: the fields that the mask names."""

    assessment: Sent
    update_mask: str


@endpoint("POST 3.0/traces/{trace_id}/assessments")
def create(caller: Caller, request: Create) -> Answer:
    """Keep what somebody says of a trace."""
    with caller.unit("tracking:write") as unit:
        said = read(unit, request.assessment)
        id = request.assessment.assessment_id or f"a-{unit.new_id()}"
        kept = assessing.add(unit, request.trace_id, msgspec.structs.replace(said, id=id))
        return {"assessment": shown(kept, request.trace_id)}


@endpoint("GET 3.0/traces/{trace_id}/assessments/{assessment_id}")
def get(caller: Caller, request: ById) -> Answer:
    """What was said."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"assessment": shown(assessing.get(unit, request.trace_id, request.assessment_id), request.trace_id)}


@endpoint("PATCH 3.0/traces/{trace_id}/assessments/{assessment_id}")
def update(caller: Caller, request: Update) -> Answer:
    """Change what was said; who says it and of what stays as it is."""
    with caller.unit("tracking:write") as unit:
        before = assessing.get(unit, request.trace_id, request.assessment_id)
        now = _changed(before, request.assessment, _masked(request.update_mask))
        kept = msgspec.structs.replace(now, updated=max(unit.clock.now(), before.updated))
        return {"assessment": shown(assessing.keep(unit, request.trace_id, kept), request.trace_id)}


@endpoint("DELETE 3.0/traces/{trace_id}/assessments/{assessment_id}")
def delete(caller: Caller, request: ById) -> Answer:
    """Take back what was said; once is enough."""
    with caller.unit("tracking:write") as unit:
        assessing.take_back(unit, request.trace_id, request.assessment_id)
    return {}


def read(session: Session, sent: Sent) -> Assessment:
    """An assessment that a client sent.

    Raises:
        InvalidInput: it says nothing, or more than one thing.
    """
    given = [kind for kind in _KINDS if getattr(sent, kind) is not None]
    if len(given) != 1:
        raise InvalidInput("An assessment is one of feedback, expectation and issue.")
    now = session.clock.now()
    created = read_moment(sent.create_time) if sent.create_time else now
    return Assessment(
        sent.assessment_id,
        given[0],
        sent.assessment_name,
        _value(given[0], sent),
        Source(sent.source.source_type, sent.source.source_id),
        created,
        read_moment(sent.last_update_time) if sent.last_update_time else created,
        sent.span_id,
        sent.rationale,
        sent.metadata,
        _error(sent),
        sent.overrides,
        sent.valid,
    )


def shown(said: Assessment, trace: str) -> dict[str, Json]:
    """An assessment as clients read it."""
    found: dict[str, Json] = {
        "assessment_id": said.id,
        "assessment_name": said.name,
        "trace_id": trace,
        "source": {"source_type": said.source.kind, "source_id": said.source.id},
        "create_time": moment(said.created),
        "last_update_time": moment(said.updated),
        said.kind: _shown_value(said),
        "valid": said.valid,
    }
    texts = {"span_id": said.span, "rationale": said.rationale, "overrides": said.overrides}
    found |= {name: text for name, text in texts.items() if text}
    return found | ({"metadata": dict(said.metadata)} if said.metadata else {})


def _shown_value(said: Assessment) -> Json:
    if said.kind == "issue":
        return {"issue_name": str(said.value)}
    if said.kind == "feedback":
        return {"value": said.value} | ({"error": dict(said.error)} if said.error else {})
    if isinstance(said.value, (list, dict)):
        return {"serialized_value": {"serialization_format": _JSON_FORMAT, "value": json.dumps(said.value)}}
    return {"value": said.value}


def _value(kind: AssessmentKind, sent: Sent) -> Any:
    given = getattr(sent, kind)
    if kind == "issue":
        return str(given.get("issue_name", ""))
    serialized = given.get("serialized_value")
    if kind == "feedback" or not isinstance(serialized, dict):
        return given.get("value")
    if serialized.get("serialization_format", _JSON_FORMAT) != _JSON_FORMAT:
        raise InvalidInput(
            f"Unknown serialization format: {serialized['serialization_format']!r}.", hint="Use JSON_FORMAT."
        )
    try:
        return msgspec.json.decode(str(serialized.get("value", "null")))
    except (msgspec.DecodeError, RecursionError):
        raise InvalidInput("The serialized value of an expectation is no JSON.") from None


def _error(sent: Sent) -> dict[str, str]:
    error = (sent.feedback or {}).get("error")
    return {str(key): str(value) for key, value in error.items()} if isinstance(error, dict) else {}


def _masked(mask: str) -> set[str]:
    """The fields that a mask names, which protobuf's JSON writes in camel case."""
    fields = {re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name.strip()) for name in mask.split(",")}
    unknown = sorted(fields - set(_FIELDS))
    if unknown:
        raise InvalidInput(
            f"{unknown[0][:80]!r} of an assessment cannot change.", hint=f"Name some of {', '.join(_FIELDS)}."
        )
    return fields


def _changed(before: Assessment, sent: Sent, mask: set[str]) -> Assessment:
    values = [kind for kind in ("feedback", "expectation") if kind in mask]
    if len(values) == 2:
        raise InvalidInput("Cannot specify both `expectation` and `feedback` parameters.")
    now = before
    if values:
        kind: AssessmentKind = "feedback" if values[0] == "feedback" else "expectation"
        if kind != before.kind:
            raise InvalidInput(f"Cannot update {kind} value on {_articled(before.kind)} assessment.")
        if getattr(sent, kind) is None:
            raise InvalidInput(f"The mask names {kind}, and the assessment has none.")
        now = msgspec.structs.replace(now, value=_value(kind, sent), error=_error(sent))
    changes = {"name": sent.assessment_name, "rationale": sent.rationale, "valid": sent.valid}
    named = {"name": "assessment_name", "rationale": "rationale", "valid": "valid"}
    now = msgspec.structs.replace(now, **{field: value for field, value in changes.items() if named[field] in mask})
    return msgspec.structs.replace(now, metadata=now.metadata | sent.metadata) if "metadata" in mask else now


def _articled(kind: str) -> str:
    return {"feedback": "a Feedback", "expectation": "an Expectation"}.get(kind, "an IssueReference")
