"""The predictor of an endpoint: features by key, the variant by the label's key, one run a variant, then the log.

Nothing is answered that is not in the log. A request with an id of its own that comes again gets the logged answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.clock import micros
from everloop.kernel.errors import EverloopError, InvalidInput, Unavailable
from everloop.kernel.ids import new_id
from everloop.registry.columns import check_inputs
from everloop.registry.entities import Signature
from everloop.serving.arrow import array_of
from everloop.serving.committer import Commit, Committer
from everloop.serving.computed import Computed, Done
from everloop.serving.entities import FeedbackReceipt, Label
from everloop.serving.inferencelog import LogReader, LogWriter
from everloop.serving.labellog import LabelWriter
from everloop.serving.request import PredictionRequest
from everloop.serving.requestindex import NOBODY, Request, RequestIndex, answered_rows, digest_of
from everloop.serving.scoring import Rows, batch_of, prediction_ids, score
from everloop.serving.segments import Place
from everloop.serving.variants import Routing, load_routing

if TYPE_CHECKING:
    import pyarrow as pa

REFRESH_SECONDS = 0.5
"""How often the traffic is looked up in the background."""
log = logging.getLogger("everloop.serving")


@dataclass(frozen=True, eq=False, slots=True)
class Answer:
    """What was answered, a value for each row in the request's order; NaN where the model failed on a row.

    `replayed`: the request had been answered before, and this was read from the log.
    """

    request_id: str
    prediction_ids: list[str]
    outputs: np.ndarray
    deployments: np.ndarray
    model_versions: np.ndarray
    replayed: bool = False


class EndpointPredictor:
    """Answers for one endpoint, in one process. Several threads may ask; they are answered one after another."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._routing = load_routing(session, name)
        self._committer = Committer(LogWriter(session.home, session.project, name), name)
        self._labels = LabelWriter(session.home, session.project, name)
        self._index = RequestIndex(LogReader(session.home, session.project, name))
        self._pending: dict[Request, tuple[Answer, Commit]] = {}
        self._answering = Lock()
        self._refreshing = Lock()
        self._stopped = Event()
        self._watch = Thread(target=self._keep_fresh, name=f"refresh {name}", daemon=True)

    @property
    def routing(self) -> Routing:
        """The traffic as this process sees it."""
        return self._routing

    def predict(self, columns: Mapping[str, np.ndarray], request_id: str = "", at: datetime | None = None) -> Answer:
        """Predict rows and log them. 50 rows of 20 features and 100 trees cost ~1.5 ms.

        Raises:
            InvalidInput: columns are missing, unknown, or not what the models take.
            Unavailable: the log could not be written, so nothing was answered.
        """
        answer = self.predict_all([PredictionRequest(columns, request_id, at)])[0]
        if isinstance(answer, EverloopError):
            raise answer
        return answer

    def predict_all(self, requests: Sequence[PredictionRequest]) -> list[Answer | EverloopError]:
        """Answer several requests together, once they are in the log; each gets an answer or an error of its own."""
        return self.compute(requests).wait()

    def compute(self, requests: Sequence[PredictionRequest]) -> Computed[Answer]:
        """Answers that are not in the log yet: `commit` puts them there. Turns are committed in their order."""
        with self._answering:
            turn = _Turn(self._routing, self._index, self._session, self._pending)
            for request in requests:
                turn.take(request)
            commit = _TurnCommit(turn, self._index, self._pending)
            for identity, answer in turn.fresh.items():
                self._pending[identity] = (answer, commit)
        return _Uncommitted(turn.answers, commit, self._committer)

    def feedback(self, labels: Sequence[Label]) -> FeedbackReceipt:
        """Keep labels of this endpoint's units.

        Raises:
            InvalidInput: a label has no key, or its value is not a finite number.
        """
        return self._labels.append(labels, self._session.clock.now())

    def refresh(self) -> int:
        """Look up the traffic now and swap it in; the revision. Requests go on meanwhile, by the old one or the new."""
        with self._refreshing:
            self._routing = load_routing(self._session, self._name, self._routing)
        with self._answering:
            self._index.catch_up()
        return self._routing.endpoint.revision

    def start(self) -> None:
        """Begin to refresh in the background."""
        self._watch.start()

    def close(self) -> None:
        """Stop refreshing and give back the files."""
        self._stopped.set()
        if self._watch.is_alive():
            self._watch.join()
        with self._answering:
            self._committer.close()
            self._labels.close()

    def _keep_fresh(self) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001  # Whatever is wrong outside, what is loaded goes on answering.
                log.warning(
                    "endpoint %s goes on at revision %s: %s", self._name, self._routing.endpoint.revision, error
                )


class _Uncommitted(Computed[Answer]):
    """Answers that may be given when a commit is through."""

    __slots__ = ("_commit", "_committer")

    def __init__(self, answers: list[Answer | EverloopError], commit: Commit, committer: Committer) -> None:
        super().__init__(answers)
        self._commit, self._committer = commit, committer

    def commit(self, done: Done) -> None:
        """Have the answers logged."""
        self._commit.done = done
        self._committer.submit(self._commit)


class _TurnCommit(Commit):
    """A turn's way into the log; its requests are known from then on."""

    def __init__(self, turn: _Turn, index: RequestIndex, pending: dict[Request, tuple[Answer, Commit]]) -> None:
        super().__init__(turn.batches, turn.after)
        self._identities, self._index, self._pending = turn.identities, index, pending

    def kept(self, places: Sequence[Place]) -> None:
        """Remember the requests, then forget that they were on their way."""
        if places:
            self._index.add(self._identities, places)
        self._forget()

    def lost(self, error: Unavailable) -> EverloopError | None:
        """Nothing was answered, so that the requests may come again."""
        self._forget()
        return error

    def _forget(self) -> None:
        for identity in self._identities:
            self._pending.pop(identity, None)


class _Turn:
    """Some requests that are answered together: their batches for the log, and their answers once these are durable."""

    def __init__(
        self,
        routing: Routing,
        index: RequestIndex,
        session: Session,
        pending: Mapping[Request, tuple[Answer, Commit]],
    ) -> None:
        self._pending = pending
        self.after: list[Commit] = []
        self._routing = routing
        self._signature = Signature(routing.inputs, ())
        self._index = index
        self._session = session
        self.fresh: dict[Request, Answer] = {}
        self.answers: list[Answer | EverloopError] = []
        self.batches: list[pa.RecordBatch] = []
        self.identities: list[tuple[str, int]] = []

    def take(self, request: PredictionRequest) -> None:
        """Answer a request: from the log if it has been answered, otherwise by asking the models."""
        started = perf_counter()
        try:
            if not check_inputs(self._signature, request.columns):
                raise InvalidInput("The request has no rows.", hint="Send at least one.")
            identity = (request.id, digest_of(request.columns) if request.id else 0)
            self.answers.append(self._known(identity) or self._fresh(request, identity, started))
        except EverloopError as error:
            self.answers.append(error)

    def _known(self, identity: tuple[str, int]) -> Answer | None:
        if not identity[0]:
            return None
        if identity in self.fresh:
            return self.fresh[identity]
        if (waiting := self._pending.get(identity)) is not None:
            self.after.append(waiting[1])
            return waiting[0]
        batch = self._index.find(identity)
        return None if batch is None else _answer(batch, answered_rows(batch), replayed=True)

    def _fresh(self, request: PredictionRequest, identity: tuple[str, int], started: float) -> Answer:
        at = request.at or self._session.clock.now()
        prefix = new_id(at, self._session.random)
        rows = Rows(request.columns, self._keys(request.columns, prefix), micros(at))
        scored = score(self._routing, rows)
        head: dict[str, str | int] = {
            "prefix": prefix,
            "request_id": identity[0] or prefix,
            "request_digest": identity[1],
        }
        batch = batch_of(self._routing, rows, scored, head | {"latency_us": int((perf_counter() - started) * 1e6)})
        answered = np.arange(len(rows.keys))
        failed = bool(np.isnan(array_of(batch.column("output"))[answered]).all())
        self.batches.append(batch)
        self.identities.append(NOBODY if failed else identity)
        if failed:
            version = f"Version {self._routing.stable.version} of model {self._routing.endpoint.model!r}"
            raise EverloopError(
                f"{version} failed on every row of this request.",
                hint="The process says why on stderr; everloop endpoints rollback goes back to the version before.",
            )
        answer = _answer(batch, answered)
        if identity[0]:
            self.fresh[identity] = answer
        return answer

    def _keys(self, columns: Mapping[str, np.ndarray], prefix: str) -> list[str]:
        """What keeps units with their variant and joins labels: the label's key; the prediction's id without one."""
        name = self._routing.endpoint.label_key
        if not name:
            return prediction_ids(prefix, len(next(iter(columns.values()))))
        values = columns[name].tolist()
        return [f"{prefix}-{row}" if value in (None, "") else str(value) for row, value in enumerate(values)]


def _answer(batch: pa.RecordBatch, rows: np.ndarray, *, replayed: bool = False) -> Answer:
    """The answer that rows of a logged batch hold."""
    ids = batch.column("prediction_id").to_pylist()
    return Answer(
        batch.column("request_id")[0].as_py(),
        [ids[row] for row in rows.tolist()],
        array_of(batch.column("output"))[rows],
        array_of(batch.column("deployment"))[rows],
        array_of(batch.column("model_version"))[rows],
        replayed,
    )
