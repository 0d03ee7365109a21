"""A turn: several requests that are answered together, everything done once for all that have the same columns."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import EverloopError, InvalidInput, Unavailable
from everloop.serving.arrow import array_of
from everloop.serving.committer import Commit
from everloop.serving.encoded import EncodedBatch
from everloop.serving.explaining import check_explainable, explanations, traced
from everloop.serving.gathering import Columns, Group, gathered
from everloop.serving.logrows import Made
from everloop.serving.request import Answer, PredictionRequest
from everloop.serving.requestindex import Found, RequestIndex, Waiting, digest_of, require_same
from everloop.serving.scoring import Rows, Scored, score
from everloop.serving.variants import Routing

if TYPE_CHECKING:
    from everloop.serving.segments import Place

_UNASKED = EverloopError("The request was not answered.")
log = logging.getLogger("everloop.serving")


class Turn(Commit):
    """Requests with their answers, and the batches that must be in the log before these are given."""

    def __init__(self, routing: Routing, index: RequestIndex, session: Session) -> None:
        super().__init__()
        self.routing = routing
        self.synced = routing.endpoint.log.durability == "sync"
        self._index = index
        self._session = session
        self._started = perf_counter()
        self._digests: dict[int, int] = {}
        self._asked: dict[str, int] = {}
        self._logged: dict[str, tuple[int, int]] = {}
        self.batches: list[EncodedBatch] = []
        self.answers: list[Answer | EverloopError] = []

    def take(self, requests: Sequence[PredictionRequest]) -> None:
        """Answer requests: from the log those that have been answered, the others by asking the models."""
        self.answers = [_UNASKED] * len(requests)
        twins: dict[int, int] = {}
        fresh = [place for place, request in enumerate(requests) if self._is_fresh(place, request, twins)]
        self._answer(requests, fresh)
        for place, first in twins.items():
            self.answers[place] = self.answers[first]

    def kept(self, places: Sequence[Place]) -> None:
        """Remember where the answers stand."""
        if places:
            known = {id: (digest, places[batch]) for id, (digest, batch) in self._logged.items()}
            self._index.kept(known, places)

    def lost(self, error: Unavailable) -> EverloopError | None:
        """What was not logged was not answered, and may come again; unless the policy says to answer all the same."""
        self._index.end(self._logged)
        if self.routing.endpoint.log.failure == "refuse":
            return error
        log.error("%s rows were answered and not logged: %s", sum(batch.rows for batch in self.batches), error)
        return None

    def _is_fresh(self, place: int, request: PredictionRequest, twins: dict[int, int]) -> bool:
        """Whether the models must be asked; otherwise the request has its answer, or is one that is in this turn."""
        if request.deadline and request.deadline < self._started:
            self.answers[place] = Unavailable("The request waited too long.", hint="Try again later.")
            return False
        if request.explain and not self._is_explainable(place, request):
            return False
        if not request.id:
            return True
        try:
            digest = digest_of(request.columns)
        except (TypeError, ValueError):
            return True  # Whatever is wrong with it, the check says it better.
        try:
            return self._is_unknown(place, request.id, digest, twins)
        except EverloopError as error:
            self.answers[place] = error
            return False

    def _is_explainable(self, place: int, request: PredictionRequest) -> bool:
        try:
            check_explainable(request, self.routing.stable.configuration.explain_rows)
        except InvalidInput as error:
            self.answers[place] = error
            return False
        return True

    def _is_unknown(self, place: int, id: str, digest: int, twins: dict[int, int]) -> bool:
        if id in self._asked:
            require_same(id, self._digests[self._asked[id]], digest)
            twins[place] = self._asked[id]
            return False
        if (waiting := self._index.waiting(id, digest)) is not None:
            self.answers[place] = waiting.answer
            self.after.append(waiting.commit)
            return False
        if (found := self._index.find(id, digest)) is not None:
            self.answers[place] = _replayed(found, self.routing)
            return False
        self._asked[id], self._digests[place] = place, digest
        return True

    def _answer(self, requests: Sequence[PredictionRequest], places: Sequence[int]) -> None:
        for group in gathered(self.routing.signature, requests, places):
            if isinstance(group, tuple):
                self.answers[group[0]] = group[1]
                continue
            try:
                self._score(requests, group)
            except (InvalidInput, UnicodeError) as error:
                self._alone(requests, group, error)
            except EverloopError as error:
                self._refuse(group, error)
            except Exception:  # One schema's requests must not take the others along.
                log.exception("endpoint %s failed on %s requests", self.routing.endpoint.name, len(group.places))
                self._refuse(group, EverloopError("The endpoint failed.", hint="The process says why on stderr."))

    def _alone(self, requests: Sequence[PredictionRequest], group: Group, error: InvalidInput | UnicodeError) -> None:
        """Something is wrong with one of several requests: ask for each alone, so that only that one is refused."""
        if len(group.places) > 1:
            for place in group.places:
                self._answer(requests, [place])
        elif isinstance(error, UnicodeError):
            refused = InvalidInput(f"A text holds half a character ({error}).", hint="Send valid Unicode.")
            self._refuse(group, refused)
        else:
            self._refuse(group, error)

    def _refuse(self, group: Group, error: EverloopError) -> None:
        for place in group.places:
            self.answers[place] = error

    def _score(self, requests: Sequence[PredictionRequest], group: Group) -> None:
        at = group.at or self._session.clock.now()
        prefixes = self._prefixes(micros(at) // 1000, len(group.places))
        ids = _prediction_ids(prefixes, group.counts)
        rows = Rows(group.columns, self._keys(group.columns, ids), micros(at))
        scored = score(self.routing, rows)
        answers = _Answers(self.routing, scored, ids)
        names = [requests[place].id or prefix for place, prefix in zip(group.places, prefixes, strict=True)]
        kept = self.routing.log.keeps(rows.keys)
        digests = self._kept_digests(group, answers.failed(group.counts), kept)
        latency = int((perf_counter() - self._started) * 1e6)
        batch = self.routing.log.encode(Made(group.counts, prefixes, names, digests, ids, rows, scored, latency), kept)
        self._give(group, answers, names, digests)
        for number, place in enumerate(group.places):
            if requests[place].explain or requests[place].parameters.get("trace") is True:
                self._explain(requests[place], place, scored, sum(group.counts[:number]))
        if batch is not None:
            self.batches.append(batch)

    def _kept_digests(self, group: Group, failed: Sequence[int], kept: np.ndarray | None) -> list[int]:
        """The digests that are logged; 0 for requests whose answer could not be had from the log again."""
        digests = [self._digests.get(place, 0) for place in group.places]
        partial = [] if kept is None else np.flatnonzero(~np.logical_and.reduceat(kept, _starts(group.counts))).tolist()
        for number in (*failed, *partial):
            digests[number] = 0
        return digests

    def _give(self, group: Group, answers: _Answers, names: Sequence[str], digests: Sequence[int]) -> None:
        """Each request its part of the answers, or the error that the model failed on it."""
        failed = set(answers.failed(group.counts))
        start = 0
        for number, (place, count) in enumerate(zip(group.places, group.counts, strict=True)):
            stop = start + count
            if number in failed:
                self.answers[place] = answers.unavailable or self._failure()
            else:
                answer = self.answers[place] = answers.of(names[number], start, stop)
                if digests[number]:
                    self._logged[names[number]] = (digests[number], len(self.batches))
                    self._index.begin(names[number], Waiting(digests[number], answer, self))
            start = stop

    def _explain(self, request: PredictionRequest, place: int, scored: Scored, start: int) -> None:
        """Add to an answer what its request asked for beside it."""
        answer = self.answers[place]
        if isinstance(answer, EverloopError):
            return
        stop = start + len(answer.outputs)
        try:
            if request.explain:
                answer = replace(answer, explanations=explanations(scored, start, stop))
            if request.parameters.get("trace") is True:
                answer = replace(answer, traces=traced(scored, start, stop))
        except EverloopError as error:
            self.answers[place] = error
        else:
            self.answers[place] = answer

    def _prefixes(self, millisecond: int, count: int) -> list[str]:
        """An id for each request, in the layout of `new_id`."""
        head = f"{millisecond:012x}"
        digits = f"{self._session.random.getrandbits(80 * count):0{20 * count}x}"
        return [head + digits[at : at + 20] for at in range(0, 20 * count, 20)]

    def _keys(self, columns: Columns, ids: Sequence[str]) -> Sequence[str]:
        """What keeps units with their variant and joins labels: the label's key; the prediction's id without one."""
        name = self.routing.endpoint.label_key
        if not name:
            return ids
        values = columns[name].tolist()
        return [id if value in (None, "") else str(value) for value, id in zip(values, ids, strict=True)]

    def _failure(self) -> EverloopError:
        version = f"Version {self.routing.stable.version} of model {self.routing.endpoint.model!r}"
        return EverloopError(
            f"{version} failed on every row of this request.",
            hint="The process says why on stderr; everloop endpoints rollback goes back to the version before.",
        )


class _Answers:
    """What a group of requests is answered, by row."""

    def __init__(self, routing: Routing, scored: Scored, ids: Sequence[str]) -> None:
        count = len(ids)
        self._ids = ids
        self.unavailable = scored.unavailable
        self._outputs = scored.logged("scores")[:count]
        self._deployments = scored.variants("deployment")[:count]
        self._versions = scored.variants("version")[:count]
        self._bounds = _bounds(routing, self._outputs, self._deployments) if routing.margins else None
        self._roles = scored.variants("role")[:count] if routing.has_fallback else None
        values = scored.values(routing.outputs) if routing.outputs else None
        self._values = values and {name: _typed(given[:count]) for name, given in values.items()}

    def failed(self, counts: Sequence[int]) -> list[int]:
        """The numbers of the requests whose every row failed."""
        missing = np.isnan(self._outputs)
        if not missing.any():
            return []
        return np.flatnonzero(np.logical_and.reduceat(missing, _starts(counts))).tolist()

    def of(self, request: str, start: int, stop: int) -> Answer:
        """The answer to one of the requests."""
        return Answer(
            request,
            self._ids[start:stop],
            self._outputs[start:stop],
            self._deployments[start:stop],
            self._versions[start:stop],
            values=self._values and {name: given[start:stop] for name, given in self._values.items()},
            interval=self._bounds and (self._bounds[0][start:stop], self._bounds[1][start:stop]),
            roles=None if self._roles is None else _telling(self._roles[start:stop].tolist()),
        )


def _bounds(routing: Routing, answers: np.ndarray, deployments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between what the truth lies, for rows whose deployment can tell; else NaN."""
    margins = np.array([routing.margins.get(one, np.nan) for one in deployments.tolist()])
    return answers - margins, answers + margins


def _telling(roles: list[str]) -> list[str] | None:
    """The roles, if a fallback is among them."""
    return roles if "fallback" in roles else None


def _replayed(found: Found, routing: Routing) -> Answer:
    """The answer that rows of a logged batch hold."""
    rows = found.batch.take(pa.array(found.rows))
    outputs, deployments = array_of(rows.column("output")), array_of(rows.column("deployment"))
    return Answer(
        rows.column("request_id")[0].as_py(),
        rows.column("prediction_id").to_pylist(),
        outputs,
        deployments,
        array_of(rows.column("model_version")),
        replayed=True,
        values=_parsed(rows.column("outputs").to_pylist()) if "outputs" in rows.schema.names else None,
        interval=_bounds(routing, outputs, deployments) if routing.margins else None,
        roles=_telling(rows.column("role").to_pylist()),
    )


def _parsed(texts: Sequence[str | None]) -> dict[str, np.ndarray] | None:
    """The outputs by name, out of what was logged as JSON."""
    rows = [msgspec.json.decode(text) if text else {} for text in texts]
    return {name: _typed(np.array([row.get(name) for row in rows], dtype=object)) for name in rows[0]}


def _typed(values: np.ndarray) -> np.ndarray:
    """Objects as numbers where all are; what the parts of several variants gave may have become objects."""
    if values.dtype != object or not len(values) or isinstance(values[0], str | None):
        return values
    try:
        return np.array(values.tolist(), dtype=np.float64)
    except (TypeError, ValueError):
        return values


def _prediction_ids(prefixes: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The ids of the requests' predictions: an id that sorts by time, and the row's number."""
    if len(counts) == sum(counts):
        return [prefix + "-0" for prefix in prefixes]
    return [f"{prefix}-{row}" for prefix, count in zip(prefixes, counts, strict=True) for row in range(count)]


def _starts(counts: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *counts[:-1]])
