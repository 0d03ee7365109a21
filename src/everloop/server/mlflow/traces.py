"""Traces for MLflow's clients: told, searched, read with their spans, tagged, linked and deleted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.usecase import Json
from everloop.server.mlflow import assessments, experiments, limits, runs
from everloop.server.mlflow import traceforms as forms
from everloop.server.mlflow.endpoint import Answer, Caller, KeyValue, endpoint
from everloop.tracking.entities import Experiment
from everloop.tracking.traces import language, links, parts, rows, service, writing
from everloop.tracking.traces import search as finding
from everloop.tracking.traces.entities import Span, Trace

_MOST = 500
_MOST_LINKS = 100
_STATS = "mlflow.trace.sizeStats"


class InExperiment(msgspec.Struct, frozen=True):
    """An experiment."""

    experiment_id: str = ""


class Location(msgspec.Struct, frozen=True):
    """Where traces are: in an experiment, here."""

    mlflow_experiment: InExperiment | None = None


class Info(msgspec.Struct, frozen=True):
    """What a client says of a trace."""

    trace_id: str
    trace_location: Location = Location()
    request_time: str = "1970-01-01T00:00:00Z"
    execution_duration: str = ""
    state: str = "STATE_UNSPECIFIED"
    client_request_id: str = ""
    request_preview: str | None = None
    response_preview: str | None = None
    trace_metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[assessments.Sent] = []


class Told(msgspec.Struct, frozen=True):
    """A trace without its spans, which come by OTLP."""

    trace_info: Info


class Tell(msgspec.Struct, frozen=True):
    """What a client says of a trace when it has ended."""

    trace: Told


class ById(msgspec.Struct, frozen=True):
    """A trace."""

    trace_id: str


class Get(ById, frozen=True):
    """A trace with its spans, even if not all of them are there yet."""

    allow_partial: bool = False


class Several(msgspec.Struct, frozen=True):
    """Some traces, of some experiments where those are given."""

    trace_ids: list[str]
    experiment_ids: list[str] | None = None


class Search(msgspec.Struct, frozen=True):
    """Which traces are wanted."""

    locations: list[Location] = []
    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""


class OldSearch(msgspec.Struct, frozen=True):
    """Which traces are wanted, as clients of version 2 ask."""

    experiment_ids: list[str]
    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""


class SetTag(ById, frozen=True):
    """A tag for a trace."""

    key: str
    value: str = ""


class DeleteTag(ById, frozen=True):
    """A tag that a trace loses."""

    key: str


class Delete(msgspec.Struct, frozen=True):
    """Which traces of an experiment are to go: some, or those until a time, the oldest first."""

    experiment_id: str
    max_timestamp_millis: int | None = None
    max_traces: int | None = None
    request_ids: list[str] = []


class Link(msgspec.Struct, frozen=True):
    """Traces that belong to a run."""

    trace_ids: list[str]
    run_id: str


class Prompt(msgspec.Struct, frozen=True):
    """A version of a prompt."""

    name: str
    version: str


class LinkPrompts(ById, frozen=True):
    """Prompts that a trace used."""

    prompt_versions: list[Prompt]


class OldStart(msgspec.Struct, frozen=True):
    """A trace that begins, as clients of version 2 say it."""

    experiment_id: str
    timestamp_ms: int
    request_metadata: list[KeyValue] = []
    tags: list[KeyValue] = []


class OldEnd(msgspec.Struct, frozen=True):
    """A trace that ends, as clients of version 2 say it."""

    trace_id: str
    timestamp_ms: int
    status: str = "TRACE_STATUS_UNSPECIFIED"
    request_metadata: list[KeyValue] = []
    tags: list[KeyValue] = []


@endpoint("POST 3.0/traces")
def tell(caller: Caller, request: Tell) -> Answer:
    """Keep what a client says of a trace as a whole; said again, it changes nothing."""
    info = request.trace.trace_info
    given = info.trace_location.mlflow_experiment or InExperiment("0")
    with caller.unit("tracking:write") as unit:
        experiment = open_experiment(unit, caller, given.experiment_id)
        said = [assessments.read(unit, sent) for sent in info.assessments]
        told = Trace(
            info.trace_id,
            experiment.name,
            forms.state_of(info.state),
            forms.read_moment(info.request_time),
            forms.read_duration(info.execution_duration) if info.execution_duration else None,
            info.tags.get(forms.NAME, ""),
            info.trace_metadata.get(forms.RUN, ""),
            info.client_request_id,
            info.request_preview,
            info.response_preview,
            _own(info.tags),
            _own(info.trace_metadata),
            assessments=writing.assessments_of(info.trace_id, said),
        )
        writing.tell(unit, told)
        return {"trace": {"trace_info": _infos(unit, [rows.one(unit, info.trace_id)])[0]}}


@endpoint("GET 3.0/traces/{trace_id}")
def info(caller: Caller, request: ById) -> Answer:
    """What is known of a trace as a whole."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"trace": {"trace_info": _infos(unit, [rows.one(unit, request.trace_id)])[0]}}


@endpoint("GET 3.0/traces/get")
def get(caller: Caller, request: Get) -> Answer:
    """A trace with its spans.

    Raises:
        NotFound: there is none, or its spans are not all there yet and the request does not say that it takes less.
    """
    with caller.unit("tracking:read", write=False) as unit:
        row = rows.of(unit, [request.trace_id]).get(request.trace_id)
        if row is None:
            raise NotFound(f"Trace with ID {request.trace_id[: rows.LONGEST_ID]} is not found.")
        spans = parts.of(unit, [row.id]).get(row.id, [])
        if not request.allow_partial and not _complete(row, spans):
            raise NotFound(f"Trace with ID {row.id} is not fully exported yet, please try again later.")
        return {"trace": _whole(row.id, _infos(unit, [row])[0], spans)}


@endpoint("GET 3.0/traces/batchGet")
def get_several(caller: Caller, request: Several) -> Answer:
    """Those of some traces that are complete, with their spans, in the order asked for."""
    with caller.unit("tracking:read", write=False) as unit:
        found = _several(unit, request)
        spans = parts.of(unit, [row.id for row in found])
        complete = [row for row in found if _complete(row, spans.get(row.id, []))]
        infos = _infos(unit, complete)
        return {"traces": [_whole(row.id, it, spans[row.id]) for row, it in zip(complete, infos, strict=True)]}


@endpoint("POST 3.0/traces/batchGetInfos")
def infos(caller: Caller, request: Several) -> Answer:
    """What is known of some traces as a whole, in the order asked for."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"trace_infos": list[Json](_infos(unit, _several(unit, request)))}


def data(caller: Caller, trace: str) -> Json:
    """The spans of a trace, as many as there are, as MLflow's file of them holds them; None where none has come."""
    with caller.unit("tracking:read", write=False) as unit:
        row = rows.one(unit, trace)
        spans = parts.of(unit, [row.id]).get(row.id)
        return None if spans is None else forms.data_of(row.id, spans)


@endpoint("POST 3.0/traces/search")
def search(caller: Caller, request: Search) -> Answer:
    """The traces of some experiments that meet a filter, newest first unless another order is named."""
    _check_size(request.max_results)
    ids = [it.mlflow_experiment.experiment_id for it in request.locations if it.mlflow_experiment is not None]
    if not request.locations:
        raise InvalidInput("Missing value for required parameter 'locations'.")
    with caller.unit("tracking:read", write=False) as unit:
        found = _found(unit, ids, request)
        answer: Answer = {"traces": list[Json](_infos(unit, found.rows))}
    return answer | ({"next_page_token": found.next} if found.next else {})


@endpoint("GET traces")
def old_search(caller: Caller, request: OldSearch) -> Answer:
    """The same for clients of version 2."""
    _check_size(request.max_results)
    with caller.unit("tracking:read", write=False) as unit:
        found = _found(unit, request.experiment_ids, request)
        answer: Answer = {"traces": [_old_info(unit, row) for row in found.rows]}
    return answer | ({"next_page_token": found.next} if found.next else {})


@endpoint("PATCH 3.0/traces/{trace_id}/tags", "PATCH traces/{trace_id}/tags")
def set_tag(caller: Caller, request: SetTag) -> Answer:
    """Set a tag; the one for its name names it anew."""
    limits.check_key(request.key, "key", "key")
    _check_own(request.key, "set")
    with caller.unit("tracking:write") as unit:
        if request.key == forms.NAME:
            named = request.value[: writing.LONGEST_NAME]
            rows.change(unit, msgspec.structs.replace(rows.one(unit, request.trace_id), name=named))
        else:
            service.set_tags(unit, request.trace_id, {request.key: request.value})
    return {}


@endpoint("DELETE 3.0/traces/{trace_id}/tags", "DELETE traces/{trace_id}/tags")
def delete_tag(caller: Caller, request: DeleteTag) -> Answer:
    """Take a tag away."""
    _check_own(request.key, "deleted")
    with caller.unit("tracking:write") as unit:
        row = rows.one(unit, request.trace_id)
        if request.key == forms.NAME and row.name is not None:
            rows.change(unit, msgspec.structs.replace(row, name=None))
        else:
            service.delete_tag(unit, request.trace_id, request.key)
    return {}


@endpoint("POST traces/delete-traces", "POST 3.0/traces/delete-traces")
def delete(caller: Caller, request: Delete) -> Answer:
    """Delete traces for good."""
    _check_deletion(request)
    with caller.unit("tracking:write") as unit:
        experiment = experiments.existing(unit, request.experiment_id).name
        if request.max_timestamp_millis is None:
            known = rows.of(unit, request.request_ids)
            ids = [row.id for row in known.values() if row.experiment == experiment]
        else:
            until = forms.at_millisecond(min(max(request.max_timestamp_millis, 0), 253_402_300_799_999))
            ids = service.oldest(unit, experiment, until, request.max_traces or service.MOST)
        service.remove(unit, ids)
    return {"traces_deleted": len(ids)}


@endpoint("POST traces/link-to-run")
def link(caller: Caller, request: Link) -> Answer:
    """Link traces to a run; they may still be on their way here."""
    if len(request.trace_ids) > _MOST_LINKS:
        raise InvalidInput(
            f"Cannot link more than {_MOST_LINKS} traces to a run in a single request. "
            f"Provided {len(request.trace_ids)} traces."
        )
    with caller.unit("tracking:write") as unit:
        run = runs.row_of(unit, request.run_id).id
        for trace in request.trace_ids:
            links.add(unit, rows.check_id(trace), "run", [run])
    return {}


@endpoint("POST traces/link-prompts")
def link_prompts(caller: Caller, request: LinkPrompts) -> Answer:
    """Link a trace to the prompts that it used."""
    with caller.unit("tracking:write") as unit:
        row = rows.one(unit, request.trace_id)
        links.add(unit, row.id, "prompt", [f"{it.name}/{it.version}" for it in request.prompt_versions])
    return {}


@endpoint("POST traces")
def old_start(caller: Caller, request: OldStart) -> Answer:
    """Begin a trace, for clients of version 2."""
    with caller.unit("tracking:write") as unit:
        experiment = open_experiment(unit, caller, request.experiment_id)
        started = forms.at_millisecond(request.timestamp_ms)
        id = f"{forms.PREFIX}{unit.new_id()}"
        writing.tell(unit, _with(Trace(id, experiment.name, "in_progress", started), request))
        return {"trace_info": _old_info(unit, rows.one(unit, id))}


@endpoint("PATCH traces/{trace_id}")
def old_end(caller: Caller, request: OldEnd) -> Answer:
    """End a trace, for clients of version 2."""
    with caller.unit("tracking:write") as unit:
        before = rows.assembled(unit, [rows.one(unit, request.trace_id)])[0]
        length = request.timestamp_ms - forms.milliseconds(before.started)
        ended = msgspec.structs.replace(
            before, state=forms.state_of(request.status), milliseconds=length, assessments=()
        )
        writing.tell(unit, _with(ended, request))
        return {"trace_info": _old_info(unit, rows.one(unit, request.trace_id))}


@endpoint("GET traces/{trace_id}/info")
def old_info(caller: Caller, request: ById) -> Answer:
    """What is known of a trace as a whole, for clients of version 2."""
    with caller.unit("tracking:read", write=False) as unit:
        return {"trace_info": _old_info(unit, rows.one(unit, request.trace_id))}


def open_experiment(session: Session, caller: Caller, id: str) -> Experiment:
    """The experiment with an id, which takes traces.

    Raises:
        NotFound: there is none.
        Conflict: it was deleted.
    """
    found = experiments.made(session, caller, id)
    if found.deleted is not None:
        raise Conflict(f"The experiment {id} must be in the 'active' state. Current state is deleted.")
    return found


def _with(trace: Trace, request: OldStart | OldEnd) -> Trace:
    tags = {pair.key: pair.value for pair in request.tags}
    metadata = {pair.key: pair.value for pair in request.request_metadata}
    return msgspec.structs.replace(
        trace,
        name=tags.get(forms.NAME, trace.name),
        run=metadata.get(forms.RUN, trace.run),
        tags=_own(tags),
        metadata=_own(metadata),
    )


def _own(texts: dict[str, str]) -> dict[str, str]:
    """Tags or metadata without those that stand elsewhere."""
    return {key: value for key, value in texts.items() if key not in (forms.NAME, forms.RUN, *forms.OURS)}


def _infos(session: Session, found: Sequence[rows.Row]) -> list[dict[str, Json]]:
    groups = {it.name: it for it in experiments.everything(session)} if found else {}
    shown = []
    for trace in rows.assembled(session, found):
        group = groups[trace.experiment]
        it = forms.info_of(trace, experiments.id_of(group.name), experiments.location_of(group))
        said: list[Json] = [assessments.shown(said, trace.id) for said in trace.assessments]
        shown.append(it | ({"assessments": said} if said else {}))
    return shown


def _old_info(session: Session, row: rows.Row) -> Json:
    trace = rows.assembled(session, [row])[0]
    group = next(it for it in experiments.everything(session) if it.name == trace.experiment)
    return forms.old_info_of(trace, experiments.id_of(group.name), experiments.location_of(group))


def _whole(id: str, info: dict[str, Json], spans: Sequence[Span]) -> Json:
    return {"trace_info": info, "spans": [forms.span_of(span, id) for span in spans]}


def _complete(row: rows.Row, spans: Sequence[Span]) -> bool:
    """Whether the spans are all there, as far as the client has said how many there are."""
    try:
        wanted = msgspec.json.decode(row.metadata.get(_STATS, "{}"), type=dict[str, float]).get("num_spans", 1)
    except msgspec.MsgspecError:
        wanted = 1
    return len(spans) >= max(wanted, 1)


def _several(session: Session, request: Several) -> list[rows.Row]:
    known = rows.of(session, request.trace_ids[: service.MOST])
    found = [known[id] for id in dict.fromkeys(request.trace_ids) if id in known]
    if request.experiment_ids is None:
        return found
    return [row for row in found if experiments.id_of(row.experiment) in request.experiment_ids]


def _found(session: Session, ids: Sequence[str], request: Search | OldSearch) -> finding.Page:
    wanted = finding.Search(
        experiments=named(session, ids),
        conditions=tuple(language.parse(request.filter)),
        orders=tuple(language.parse_order(text) for text in request.order_by),
        limit=request.max_results,
        after=request.page_token,
    )
    return finding.page(session, wanted)


def named(session: Session, ids: Sequence[str]) -> tuple[str, ...]:
    """The names of the experiments with some ids."""
    wanted = set(ids)
    return tuple(it.name for it in experiments.everything(session) if experiments.id_of(it.name) in wanted)


def _check_size(size: int) -> None:
    if not 1 <= size <= _MOST:
        raise InvalidInput(
            f"Invalid value {size} for parameter 'max_results' supplied.", hint=f"It is from 1 to {_MOST}."
        )


def _check_own(key: str, operation: str) -> None:
    if key in forms.OURS:
        raise InvalidInput(f"Tag '{key}' is immutable and cannot be {operation} on a trace.")


def _check_deletion(request: Delete) -> None:
    if request.max_timestamp_millis is None and not request.request_ids:
        raise InvalidInput("Either `max_timestamp_millis` or `trace_ids` must be specified.")
    if request.max_timestamp_millis is not None and request.request_ids:
        raise InvalidInput("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
    if request.request_ids and request.max_traces is not None:
        raise InvalidInput("`max_traces` can't be specified if `trace_ids` is specified.")
    if request.max_traces is not None and request.max_traces <= 0:
        raise InvalidInput(f"`max_traces` must be a positive integer, received {request.max_traces}")
